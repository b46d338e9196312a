"""What is believed of token events, by chain: who may speak for other realms, and how amounts are printed."""

from dataclasses import dataclass

# One library through its moves; sources in docs/events.md. A path is trusted only because it is named here or in the
# environment: anybody may publish gno.land/p/<user>/grc20, so no pattern would be safe.
LIBRARY_2025_06 = "gno.land/p/demo/grc/grc20"
LIBRARY_2025_09 = "gno.land/p/demo/tokens/grc20"
LIBRARY_MAINNET = "gno.land/p/nt/grc20/v0"


@dataclass(frozen=True)
class Profile:
    """How one chain's token events are read.

    `libraries`: packages whose events carry the token in an attribute and are believed about it.
    `unsigned`: amounts are unsigned 64-bit printed as signed, so −1 means 2^64 − 1 (chains of 2024 to early 2025).
    """

    libraries: frozenset[str]
    unsigned: bool = False


_REALMS_ONLY = Profile(frozenset(), unsigned=True)
_FIRST_LIBRARY = Profile(frozenset({LIBRARY_2025_06}))
_DEMO_LIBRARY = Profile(frozenset({LIBRARY_2025_09}))
_MAINNET_LIBRARY = Profile(frozenset({LIBRARY_MAINNET}))

UNKNOWN_CHAIN = Profile(frozenset({LIBRARY_2025_06, LIBRARY_2025_09, LIBRARY_MAINNET}))
"""A chain that is not listed: any of the known libraries, and realms' own events; amounts are never unsigned."""

BY_CHAIN_ID = {
    "test4": _REALMS_ONLY,
    "test5": _REALMS_ONLY,
    # test6.0 had no library and unsigned amounts; 6.1 to 6.3 a library that names no token, whose events are refused.
    "test6": Profile(frozenset({LIBRARY_2025_06}), unsigned=True),
    "test7": _FIRST_LIBRARY,
    **dict.fromkeys(("test8", "test9", "test10", "test11", "test12", "test-13", "gnoland1"), _DEMO_LIBRARY),
    **dict.fromkeys(("topaz-1", "sapphire-1", "pearl-1"), _DEMO_LIBRARY),
    **dict.fromkeys(("gnoland-1", "onyx-1"), _MAINNET_LIBRARY),
}


def profile_for(chain_id: str, *, libraries: list[str], unsigned: str) -> Profile:
    """The profile of `chain_id`, with what the environment overrides.

    `libraries`: replaces the trusted ones unless empty. `unsigned`: "true", "false", or "auto" for the chain's own.
    """
    known = BY_CHAIN_ID.get(chain_id, UNKNOWN_CHAIN)
    return Profile(
        libraries=frozenset(libraries) or known.libraries,
        unsigned=known.unsigned if unsigned == "auto" else unsigned == "true",
    )
