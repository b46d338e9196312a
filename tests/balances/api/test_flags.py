"""Each reason to doubt a token, and none without it."""

import pytest

from balances.models import Token
from balances.token_flags import FLAGS, flags

LIBRARY = {"path": "gno.land/r/x.S.0000000", "key": "gno.land/r/x.S", "realm": "gno.land/r/x"}
REALM = {"path": "gno.land/r/x", "key": "gno.land/r/x", "realm": "gno.land/r/x"}
SCRIPT = {
    "path": "gno.land/e/g1a/run.S.0000000",
    "key": "gno.land/e/g1a/run.S",
    "realm": "gno.land/e/g1a/run",
}


@pytest.mark.parametrize(
    ("token", "supply", "expected"),
    [
        (Token(**LIBRARY, standard=True, announcements=1), 2**63 - 1, []),
        (Token(**LIBRARY, standard=True, announcements=1), 2**63, ["supply over 64 bits"]),
        (Token(**REALM, standard=True, announcements=0), 2**64 - 1, []),
        (Token(**REALM, standard=True, announcements=0), 2**64, ["supply over 64 bits"]),
        (Token(**REALM, standard=False, announcements=0), 0, ["not standard"]),
        (Token(**SCRIPT, standard=True, announcements=2), 0, ["duplicate id", "ephemeral"]),
        (Token(**SCRIPT, standard=False, announcements=2), 2**64, list(FLAGS)),
    ],
)
def test_a_token_has_the_flags_that_hold_for_it(token: Token, supply: int, expected: list[str]) -> None:
    assert flags(token, supply) == expected
