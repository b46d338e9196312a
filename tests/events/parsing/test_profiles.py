"""Profiles: which packages are believed on which chain, and how the environment overrides it."""

import pytest

from events.parsing.profiles import BY_CHAIN_ID, LIBRARY_2025_06, LIBRARY_2025_09, LIBRARY_MAINNET, Profile, profile_for


@pytest.mark.parametrize(
    ("chain_id", "libraries", "unsigned"),
    [
        ("test4", set(), True),
        ("test5", set(), True),
        ("test6", {LIBRARY_2025_06}, True),
        ("test7", {LIBRARY_2025_06}, False),
        ("test8", {LIBRARY_2025_09}, False),
        ("test12", {LIBRARY_2025_09}, False),
        ("test-13", {LIBRARY_2025_09}, False),
        ("gnoland1", {LIBRARY_2025_09}, False),
        ("topaz-1", {LIBRARY_2025_09}, False),
        ("sapphire-1", {LIBRARY_2025_09}, False),
        ("pearl-1", {LIBRARY_2025_09}, False),
        ("gnoland-1", {LIBRARY_MAINNET}, False),
        ("onyx-1", {LIBRARY_MAINNET}, False),
        ("nobody-knows-1", {LIBRARY_2025_06, LIBRARY_2025_09, LIBRARY_MAINNET}, False),
        ("", {LIBRARY_2025_06, LIBRARY_2025_09, LIBRARY_MAINNET}, False),
    ],
)
def test_a_chain_has_the_libraries_and_amounts_of_its_time(chain_id: str, libraries: set[str], unsigned: bool) -> None:
    assert profile_for(chain_id, libraries=[], unsigned="auto") == Profile(frozenset(libraries), unsigned)


def test_the_environment_replaces_the_trusted_libraries() -> None:
    profile = profile_for("gnoland-1", libraries=["gno.land/p/nt/grc20/v1"], unsigned="auto")
    assert profile.libraries == {"gno.land/p/nt/grc20/v1"}


@pytest.mark.parametrize("chain_id", ["test5", "gnoland-1", "nobody-knows-1"])
def test_the_environment_says_how_amounts_are_printed(chain_id: str) -> None:
    assert profile_for(chain_id, libraries=[], unsigned="true").unsigned
    assert not profile_for(chain_id, libraries=[], unsigned="false").unsigned


def test_betanet_and_mainnet_differ_by_a_hyphen_and_by_their_library() -> None:
    assert BY_CHAIN_ID["gnoland1"] != BY_CHAIN_ID["gnoland-1"]
