"""What one event says: every format of the chain's history, every reason to refuse, and strings chosen to do harm."""

import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.parsing.grc20 import REASONS, Attribute, Event, Movement, NewToken, Refusal, classify, split_token
from events.parsing.profiles import UNKNOWN_CHAIN, Profile, profile_for
from tests.conftest import ROOT
from tests.events.factories import LIBRARY, TOKEN, event, library_event, realm_event, recorded_event, recorded_events

TODAY = profile_for("sapphire-1", libraries=[], unsigned="auto")
MAINNET = profile_for("gnoland-1", libraries=[], unsigned="auto")
TEST5 = profile_for("test5", libraries=[], unsigned="auto")
TEST6 = profile_for("test6", libraries=[], unsigned="auto")
TEST7 = profile_for("test7", libraries=[], unsigned="auto")
RECORDED = {"gnotest-1": profile_for("gnotest-1", libraries=[], unsigned="auto"), "test5-1": TEST5}


def refusal(said: object) -> str:
    assert isinstance(said, Refusal), said
    assert said.detail
    return said.reason


def movement(said: object) -> Movement:
    assert isinstance(said, Movement), said
    return said


# Every format that gno.land has had


def test_format_a1_a_realms_transfer_with_a_func_is_about_the_realm() -> None:
    said = classify(realm_event(from_="", value="7"), profile_for("test4", libraries=[], unsigned="auto"))
    assert said == Movement("gno.land/r/demo/foo20", "", "g1b", 7, standard=True)


def test_format_a2_the_types_mint_and_burn_are_about_the_realm() -> None:
    assert classify(realm_event("Mint", from_=""), TEST5) == Movement("gno.land/r/demo/foo20", "", "g1b", 5, True)
    assert classify(realm_event("Burn", to=""), TEST5) == Movement("gno.land/r/demo/foo20", "g1a", "", 5, True)


def test_format_a3_of_test6_is_about_the_realm() -> None:
    said = movement(classify(realm_event(value="-1"), TEST6))
    assert (said.token, said.amount) == ("gno.land/r/demo/foo20", 2**64 - 1)


def test_format_b_names_no_token_and_is_refused() -> None:
    said = classify(event("gno.land/p/demo/grc/grc20", "Transfer", from_="g1a", to="g1b", value="5"), TEST6)
    assert refusal(said) == "no_token"


@pytest.mark.parametrize(
    ("chain", "emitter", "token"),
    [
        pytest.param("test7", "gno.land/p/demo/grc/grc20", "gno.land/r/demo/wugnot.wugnot", id="C1"),
        pytest.param("test-13", LIBRARY, "gno.land/r/gnoland/wugnot.wugnot", id="C2"),
        pytest.param("topaz-1", LIBRARY, "gno.land/r/demo/defi/foo20.FOO.0000000", id="D1"),
        pytest.param("pearl-1", LIBRARY, "gno.land/r/demo/defi/foo20.FOO.0000000", id="D2"),
        pytest.param("gnoland-1", "gno.land/p/nt/grc20/v0", "gno.land/r/x#sub.SYM.0000000", id="E"),
        pytest.param("a-chain-of-next-year", "gno.land/p/nt/grc20/v0", TOKEN, id="unknown chain"),
    ],
)
def test_library_formats_are_about_the_token_they_name(chain: str, emitter: str, token: str) -> None:
    profile = profile_for(chain, libraries=[], unsigned="auto")
    said = classify(event(emitter, "Transfer", token=token, from_="g1a", to="g1b", value="5"), profile)
    assert said == Movement(token, "g1a", "g1b", 5, standard=True)


@pytest.mark.parametrize("emitter", [LIBRARY, "gno.land/p/nt/grc20/v0"], ids=["D2", "E"])
def test_new_token_of_a_trusted_library_gives_the_metadata(emitter: str) -> None:
    said = classify(event(emitter, "NewToken", token=TOKEN, name="Foo", symbol="FOO", decimals="4"), UNKNOWN_CHAIN)
    assert said == NewToken(TOKEN, "Foo", "FOO", 4)


def test_the_order_of_attributes_does_not_matter() -> None:
    said = recorded_event("test5-1", 125, 0)
    assert [one.key for one in said.attrs or []] == ["value", "to", "from"]
    assert movement(classify(said, TEST5)).amount == 11


# Every reason, from a real event where the recordings have one

RECORDED_REASONS = [
    ("foreign_emitter", "gnotest-1", 165, 0),
    ("foreign_emitter", "gnotest-1", 170, 0),
    ("foreign_emitter", "test5-1", 125, 12),
    ("not_fungible", "gnotest-1", 185, 0),
    ("not_fungible", "test5-1", 128, 1),
    ("allowance", "gnotest-1", 81, 0),
    ("allowance", "test5-1", 125, 15),
    ("no_realm", "test5-1", 141, 0),
    ("unknown_type", "test5-1", 125, 11),
    ("unknown_type", "test5-1", 147, 4),
    ("unexpected_attribute", "test5-1", 125, 1),
    ("missing_attribute", "test5-1", 125, 2),
    ("malformed_amount", "test5-1", 125, 3),
    ("malformed_amount", "test5-1", 125, 4),
    ("malformed_amount", "test5-1", 125, 6),
    ("malformed_amount", "test5-1", 125, 7),
    ("amount_out_of_range", "test5-1", 125, 8),
    ("duplicate_attribute", "test5-1", 125, 9),
    ("both_ends_empty", "test5-1", 125, 13),
]
WRITTEN_REASONS = [
    ("no_token", event(LIBRARY, "Transfer", from_="", to="g1b", value="5")),
    ("no_token", event(LIBRARY, "NewToken", name="Foo", symbol="FOO", decimals="4")),
    ("unknown_type", library_event("Mint", from_="")),
    ("unknown_type", event(LIBRARY, "Rebase", token=TOKEN)),
    ("malformed_token", library_event(token="wugnot")),
    ("malformed_token", library_event(token="")),
    ("malformed_token", library_event(token="gno.land/p/demo/foo20.FOO.0000000")),
    ("malformed_token", library_event(token="gno.land/r/demo/foo\x00.FOO.0000000")),
    ("malformed_token", library_event(token="gno.land/r/x." + "F" * 600)),
    ("malformed_token", realm_event(emitter="gno.land/r/" + "x" * 600)),
    ("malformed_token", realm_event(emitter="gno.land/r/\ud800")),
    ("malformed_address", library_event(to="g1" + "q" * 300)),
    ("malformed_address", library_event(to="g1\x00")),
    ("malformed_address", realm_event(from_="g1\udcff")),
    ("malformed_amount", library_event(value="-1")),
    ("amount_out_of_range", library_event(value=str(2**63))),
    ("malformed_metadata", event(LIBRARY, "NewToken", token=TOKEN, name="Foo", symbol="FOO", decimals="19")),
    ("malformed_metadata", event(LIBRARY, "NewToken", token=TOKEN, name="F" * 257, symbol="FOO", decimals="4")),
    ("malformed_metadata", event(LIBRARY, "NewToken", token=TOKEN, name="\x00", symbol="FOO", decimals="4")),
    ("malformed_metadata", event(LIBRARY, "NewToken", token=TOKEN, name="Foo", symbol="FOO", decimals="\uff14")),
    ("unexpected_attribute", library_event(tokenId="1")),
    ("unexpected_attribute", library_event(id="g1object")),
    ("missing_attribute", event(LIBRARY, "Transfer", token=TOKEN, from_="", value="5")),
    ("missing_attribute", event(LIBRARY, "NewToken", token=TOKEN, name="Foo", symbol="FOO")),
    ("duplicate_attribute", event(LIBRARY, "Transfer", ("value", "5"), token=TOKEN, from_="", to="g1", value="5")),
    ("foreign_emitter", event("gno.land/p/evil/grc20", "Transfer", token=TOKEN, from_="", to="g1", value="5")),
    ("foreign_emitter", event("gno.land/r/evil/x", "NewToken", token=TOKEN, name="", symbol="", decimals="4")),
    ("no_realm", realm_event(emitter="gno.land/p/demo/tokens/grc20/")),
    ("no_realm", realm_event(emitter="gno.land/e/g1user/run")),
]


@pytest.mark.parametrize(("reason", "recording", "height", "index"), RECORDED_REASONS)
def test_recorded_events_are_refused_for_the_right_reason(reason: str, recording: str, height: int, index: int) -> None:
    assert refusal(classify(recorded_event(recording, height, index), RECORDED[recording])) == reason


@pytest.mark.parametrize(("reason", "written"), WRITTEN_REASONS)
def test_written_events_are_refused_for_the_right_reason(reason: str, written: Event) -> None:
    assert refusal(classify(written, TODAY)) == reason


def test_every_reason_has_a_test() -> None:
    assert {reason for reason, *_ in (*RECORDED_REASONS, *WRITTEN_REASONS)} == set(REASONS)


def test_of_the_eighteen_odd_events_of_one_transaction_only_the_sound_ones_move_something() -> None:
    said = [classify(recorded_event("test5-1", 125, index), TEST5) for index in range(18)]
    assert [type(one).__name__ for one in said] == [
        "Movement", "Refusal", "Refusal", "Refusal", "Refusal", "Movement", "Refusal", "Refusal", "Refusal",
        "Refusal", "Movement", "Refusal", "Refusal", "Refusal", "Movement", "Refusal", "NoneType", "NoneType",
    ]  # fmt: skip
    assert movement(said[5]).amount == 2**64 - 13, "this generation printed unsigned amounts as signed"
    assert {movement(said[i]).token for i in (0, 5, 10, 14)} == {"gno.land/r/lab/forger"}


def test_events_that_look_like_no_token_event_are_passed_over() -> None:
    register = next(placed.event for placed in recorded_events("gnotest-1") if placed.event.type == "register")
    assert classify(register, TODAY) is None
    assert classify(event("gno.land/r/x", "MintGNS", amount="1"), TODAY) is None
    assert classify(Event("StorageDepositEvent", pkg_path=LIBRARY), TODAY) is None
    assert classify(Event("TransferEvent", "Transfer", LIBRARY, library_event().attrs), TODAY) is None
    assert classify(Event("GnoEvent"), TODAY) is None


# Test vectors of reference/grc20.md, section 10, which are about one event


def test_vector_1_mint_by_type_and_mint_by_empty_side_are_the_same() -> None:
    assert classify(realm_event("Transfer", from_=""), TEST5) == classify(realm_event("Mint", from_=""), TEST5)


def test_vector_2_minus_one_is_an_allowance_passed_over_and_a_mint_on_unsigned_chains_only() -> None:
    approval = event("gno.land/r/demo/foo20", "Approval", owner="g1a", spender="g1b", value="-1")
    assert refusal(classify(approval, TEST5)) == "allowance"
    assert movement(classify(realm_event("Mint", from_="", value="-1"), TEST5)).amount == 2**64 - 1
    assert refusal(classify(realm_event("Mint", from_="", value="-1"), UNKNOWN_CHAIN)) == "malformed_amount"


def test_vector_3_two_factory_tokens_under_one_realm_are_two_tokens() -> None:
    tokens = {
        movement(classify(library_event(token=f"gno.land/r/demo/factory.{symbol}.000000{n}"), TODAY)).token
        for n, symbol in enumerate(["PERUN", "perun"])
    }
    assert tokens == {"gno.land/r/demo/factory.PERUN.0000000", "gno.land/r/demo/factory.perun.0000001"}


def test_vector_5_a_transfer_by_allowance_is_one_movement() -> None:
    said = [classify(placed.event, TODAY) for placed in recorded_events("gnotest-1") if placed.height == 81]
    spent = [one for one in said if isinstance(one, Movement) and one.token == TOKEN.replace("/demo/", "/demo/defi/")]
    assert [one.amount for one in spent] == [4000]
    assert [one.reason for one in said if isinstance(one, Refusal)] == ["allowance"], "and it emits no second Approval"


def test_vector_6_a_realm_cannot_name_a_library_token() -> None:
    token = "gno.land/r/gnoland/wugnot.wugnot.0000000"
    said = classify(event("gno.land/r/evil", "Transfer", token=token, from_="", to="g1evil", value="5"), MAINNET)
    assert refusal(said) == "foreign_emitter"


def test_a_library_of_another_chain_has_no_say_here() -> None:
    assert refusal(classify(library_event(), MAINNET)) == "foreign_emitter"


@pytest.mark.parametrize(
    "value", ["\uff19", "1_0", " 1", "01", "1 ", "1\n", "+1", "1e3", "0x10", "", "-0", "\u0663", "1.0", "-", "--1"]
)
def test_vector_11_values_that_are_no_plain_number_are_refused(value: str) -> None:
    for profile in (TODAY, TEST5):
        said = classify(realm_event(value=value), profile)
        assert refusal(said) == "malformed_amount"
    assert refusal(classify(library_event(value=value), TODAY)) == "malformed_amount"


@pytest.mark.parametrize("text", [str(2**63), str(2**64), "9" * 26, "9" * 5001], ids=len)
def test_vector_11_values_past_64_bits_are_refused(text: str) -> None:
    for written in (library_event(value=text), realm_event(value=text)):
        assert refusal(classify(written, TODAY)) == "amount_out_of_range"


def test_unsigned_amounts_reach_from_minus_two_to_the_63_to_minus_one() -> None:
    def amount(value: int) -> int | str:
        said = classify(realm_event(value=str(value)), TEST5)
        return said.amount if isinstance(said, Movement) else refusal(said)

    assert amount(-1) == 2**64 - 1
    assert amount(-(2**63)) == 2**63
    assert amount(2**63 - 1) == 2**63 - 1
    assert amount(-(2**63) - 1) == "amount_out_of_range"
    assert amount(2**63) == "amount_out_of_range"


def test_a_library_never_prints_unsigned_amounts_whatever_the_chain() -> None:
    said = classify(event("gno.land/p/demo/grc/grc20", "Transfer", token=TOKEN, from_="", to="g1a", value="-1"), TEST6)
    assert refusal(said) == "malformed_amount"


def test_vector_12_an_upper_case_address_is_another_account() -> None:
    said = movement(classify(library_event(to="G1YZ66F8S6PLQ4UUL0PA3MT0LVJSWS5D4JU5XMMX"), TODAY))
    assert said.recipient == "G1YZ66F8S6PLQ4UUL0PA3MT0LVJSWS5D4JU5XMMX"


@pytest.mark.parametrize(
    ("token", "realm", "symbol"),
    [
        ("gno.land/r/x#s.SYM.0000000", "gno.land/r/x#s", "SYM"),  # vector 15
        ("gno.land/r/x.SYM.0000000000001", "gno.land/r/x", "SYM"),  # vector 16
        ("gno.land/r/gnoland/wugnot.wugnot", "gno.land/r/gnoland/wugnot", "wugnot"),
        ("gno.land/e/g1user/run.T.0000000", "gno.land/e/g1user/run", "T"),
        ("gno.land/r/x.A B/C.D", "gno.land/r/x", "A B/C.D"),
    ],
)
def test_vectors_15_and_16_ids_split_into_realm_and_symbol(token: str, realm: str, symbol: str) -> None:
    assert split_token(token) == (realm, symbol)


@pytest.mark.parametrize(
    "token", ["", "COVID", "gno.land/r/x", "gno.land/p/x.SYM.0000000", "/r/x.SYM", "gno.land/r/.SYM"]
)
def test_what_is_no_id_does_not_split(token: str) -> None:
    assert split_token(token) is None


# Whole chains


def added_up(name: str) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Balances and supplies by token, from events alone, in plain Python."""
    balances: defaultdict[str, Counter[str]] = defaultdict(Counter)
    supplies: Counter[str] = Counter()
    for placed in recorded_events(name):
        said = classify(placed.event, RECORDED[name])
        if isinstance(said, Movement):
            if said.sender:
                balances[said.token][said.sender] -= said.amount
            if said.recipient:
                balances[said.token][said.recipient] += said.amount
            supplies[said.token] += (said.amount if not said.sender else 0) - (said.amount if not said.recipient else 0)
    return balances, supplies


@pytest.mark.parametrize("name", ["gnotest-1", "test5-1"])
def test_adding_up_a_recorded_chains_events_gives_the_chains_own_balances(name: str) -> None:
    oracle: dict[str, Any] = json.loads((ROOT / "recordings" / name / "balances.json").read_text())
    expected = {token: dict(said["balances"]) for token, said in oracle["tokens"].items()}
    supply = {token: said["total_supply"] for token, said in oracle["tokens"].items()}
    for known in oracle["known_differences"]:
        if known["address"] is None:
            supply[known["token"]] = known["events"]
        else:
            expected[known["token"]][known["address"]] = known["events"]
    balances, supplies = added_up(name)
    found = {token: {who: held for who, held in balances[token].items() if held} for token in expected}
    assert found == expected
    assert {token: supplies[token] for token in supply} == supply


# Hostile strings

any_text = st.text(st.characters(exclude_categories=()), max_size=30)
some_text = any_text | st.sampled_from(
    [
        "",
        "Transfer",
        "Mint",
        "NewToken",
        "Approval",
        LIBRARY,
        TOKEN,
        "gno.land/r/x",
        "5",
        "-1",
        "token",
        "\x00",
        "\ud800",
    ]
)
attributes = st.lists(
    st.builds(
        Attribute,
        st.sampled_from(["token", "from", "to", "value", "name", "symbol", "decimals"]) | some_text,
        some_text,
    ),
    max_size=6,
)
any_event = st.builds(
    Event,
    st.sampled_from(["GnoEvent", "UnknownEvent", ""]),
    st.none() | some_text,
    st.none() | some_text,
    st.none() | attributes,
)
any_profile = st.sampled_from([TODAY, MAINNET, TEST5, TEST6, TEST7, UNKNOWN_CHAIN, Profile(frozenset())])


@given(any_event, any_profile)
def test_classify_never_raises_and_believes_only_what_can_be_stored(one: Event, profile: Profile) -> None:
    said = classify(one, profile)
    if isinstance(said, Movement):
        assert 0 <= said.amount < 2**64
        assert said.sender or said.recipient
        for text in (said.token, said.sender, said.recipient):
            text.encode()
            assert "\x00" not in text
    elif isinstance(said, NewToken):
        assert 0 <= said.decimals <= 18
        assert "\x00" not in said.token + said.name + said.symbol
    elif said is not None:
        assert said.reason in REASONS


@given(st.integers(0, 2**63 - 1))
def test_every_amount_of_64_bits_is_read_exactly(amount: int) -> None:
    assert movement(classify(library_event(value=str(amount)), TODAY)).amount == amount


@given(st.text(st.characters(categories=["Nd", "Nl", "No", "Zs", "Pc", "Sm"]), min_size=1, max_size=25))
def test_an_amount_is_ascii_digits_and_nothing_else(value: str) -> None:
    said = classify(library_event(value=value), TODAY)
    plain = value.isascii() and value.isdigit() and str(int(value)) == value and int(value) < 2**63
    assert isinstance(said, Movement) == plain
