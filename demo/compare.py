"""Comparing an index with a chain's own balances (`balances.json`), pair by pair."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from demo.api import Api


@dataclass
class Oracle:
    """What the chain itself says. `known`: (token, address or None for the supply) → the value that events give."""

    supplies: dict[str, int]
    balances: dict[str, dict[str, int]]
    known: dict[tuple[str, str | None], int]

    @classmethod
    def read(cls, recording: Path) -> "Oracle":
        """Raises OSError, ValueError or KeyError when the folder has no usable balances.json."""
        data = json.loads((recording / "balances.json").read_text())
        return cls(
            {token: int(entry["total_supply"]) for token, entry in data["tokens"].items()},
            {token: {a: int(n) for a, n in entry["balances"].items()} for token, entry in data["tokens"].items()},
            {(entry["token"], entry["address"]): int(entry["events"]) for entry in data.get("known_differences", [])},
        )


@dataclass
class TokenResult:
    """One token's comparison: how many pairs, and what is wrong, in words."""

    token: str
    pairs: int = 0
    known: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, oracle: Oracle, address: str | None, expected: int, got: int) -> None:
        """Compare one pair (`address` None: the supply), allowing for what events are known to say instead."""
        value = oracle.known.get((self.token, address))
        if value is not None:
            self.known += 1
            expected = value
        if got != expected:
            self.wrong.append(f"{address or 'supply'}: {got}, and {expected} was expected")


def compare(api: Api, oracle: Oracle) -> list[TokenResult]:
    """Compare every supply, every holder's balance by token, and every holder's balances by address."""
    supplies = api.supplies()
    results = {}
    for token, expected in oracle.balances.items():
        result = results[token] = TokenResult(token)
        result.check(oracle, None, oracle.supplies[token], supplies.get(token, 0))
        holders = api.holders(token)
        known = {address for of, address in oracle.known if of == token and address is not None}
        for address in sorted(expected.keys() | holders.keys() | known):
            result.check(oracle, address, expected.get(address, 0), holders.get(address, 0))
            result.pairs += 1
    for address in sorted({address for held in oracle.balances.values() for address in held}):
        held = api.held_by(address)
        for token, expected in oracle.balances.items():
            wanted = oracle.known.get((token, address), expected.get(address, 0))
            if held.get(token, 0) != wanted:
                results[token].wrong.append(f"{address}, asked by address: {held.get(token, 0)}, not {wanted}")
    return list(results.values())
