"""How a token may be spelled, and what of it a stream tells from."""

import pytest

from balances.models import Token
from balances.stream import pages
from balances.token_spellings import is_meant, is_possible, spellings_of, split, sub_realms, with_point
from events.parsing.grc20 import realm_and_key

PATHS = [
    "gno.land/r/demo/foo20.FOO.0000000",
    "gno.land/r/host#sub.SYM.0000001",
    "gno.land/r/demo/vouchers.ibc/27394FB0",
    "gno.land/r/demo/vouchers.X,Y",
    "gno.land/r/demo/vouchers.A:B",
    "gno.land/r/demo/vouchers.x.y.z",
    "gno.land/r/demo/wugnot",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gno.land/r/demo/foo20:FOO", "gno.land/r/demo/foo20.FOO"),
        ("gno.land/r/demo/foo20:FOO.0000000", "gno.land/r/demo/foo20.FOO.0000000"),
        ("gno.land/e/g1abc/run:FOO", "gno.land/e/g1abc/run.FOO"),
        ("gno.land/r/x#sub:FOO", "gno.land/r/x#sub.FOO"),
        ("gno.land/r/x:A:B", "gno.land/r/x.A:B"),
        *((text, None) for text in ("gno.land/r/x", "gno.land/r/x.A:B", "gno.land/r/x:", "x:y", "gno.land:80/r/x", "")),
    ],
)
def test_the_first_colon_after_a_realm_stands_for_a_point(text: str, expected: str | None) -> None:
    assert with_point(text) == expected


def test_a_comma_separates_what_begins_like_a_realm() -> None:
    assert split(",".join(PATHS)) == PATHS
    assert split("gno.land/r/a.X,Y,tests.gno.land/e/b:Z") == ["gno.land/r/a.X,Y", "tests.gno.land/e/b:Z"]
    assert split("x,y") == ["x,y"]


@pytest.mark.parametrize("path", PATHS)
def test_every_spelling_of_a_token_is_possible_and_means_it(path: str) -> None:
    for text in spellings_of(path):
        assert is_possible(text)
        dotted = with_point(text) or text
        assert any(is_meant(path, kind, dotted) for kind in ("path", "key", "realm")), text
    assert not any(is_meant(path, kind, "gno.land/r/demo") for kind in ("path", "key", "realm"))


def test_the_ids_of_sub_realms_are_one_range() -> None:
    low, high = sub_realms("gno.land/r/host")
    assert low is not None
    assert high is not None
    ids = [
        "gno.land/r/host",
        "gno.land/r/host#a.S",
        "gno.land/r/host#\U0010ffff",
        "gno.land/r/host.S",
        "gno.land/r/host/a",
    ]
    assert [low <= path < high for path in ids] == [False, True, True, False, False]
    assert sub_realms("gno.land/r/host.S") == sub_realms("gno.land/r/host#a") == (None, None)


@pytest.mark.django_db
@pytest.mark.db
def test_a_listener_is_told_by_whatever_spelling_it_gave() -> None:
    for path in PATHS:
        realm, key = realm_and_key(path)
        Token.objects.create(path=path, key=key, realm=realm, standard=True)
    texts = set().union(*map(spellings_of, PATHS)) | {"gno.land/r/unknown", "gno.land/r/host#sub:NONE"}
    found = pages._meaning(texts, PATHS)
    assert found == {path: frozenset(spellings_of(path)) for path in PATHS}
    assert "gno.land/r/host" in found["gno.land/r/host#sub.SYM.0000001"]
