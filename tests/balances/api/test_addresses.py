"""What is an address and what is not."""

import pytest

from balances.api.params.addresses import is_address
from replay.recording import Recording
from tests.conftest import recorded

GOOD = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"


@pytest.mark.parametrize(
    "address",
    [
        GOOD,
        GOOD.upper(),
        "g15vj5q08amlvyd0nx6zjgcvwq2d0gt9fcchrvum",  # the realm gno.land/r/gnoland/wugnot
        "g1pf6dv9fjk3rn0m4jjcne306ga4he3mzmupfjl6",  # the realm gno.land/r/demo/wugnot
        "cosmos1fl48vsnmsdzcv85q5d2q4z5ajdha8yu34mf0eh",  # another human-readable part
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",  # a vector of BIP-173
    ],
)
def test_bech32_of_20_bytes_is_an_address(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "g1",
        "1",
        "alice",
        GOOD[:-1],
        GOOD[:-1] + "q",
        GOOD + "q",
        " " + GOOD,
        GOOD + "\n",
        GOOD[:5] + GOOD[5:].upper(),
        "g1" + GOOD[2:].replace("m", "b"),
        "é" + GOOD[1:],
        GOOD.replace("g1", "h1"),
        "A12UEL5L",  # valid bech32, of no bytes
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",  # valid bech32, of more than 20 bytes
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",  # valid, with a version before its 20 bytes
        "gno.land/r/demo/wugnot",
        "g" * 5000,
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize("name", ["gnotest-1", "test5-1"])
def test_every_signer_of_a_recorded_chain_has_an_address(name: str) -> None:
    recording: Recording = recorded(name)
    callers = {
        message["value"]["caller"]
        for transaction in recording.transactions
        for message in transaction["messages"] or []
        if (message["value"] or {}).get("caller")
    }
    assert len(callers) > 5
    assert all(map(is_address, callers))
