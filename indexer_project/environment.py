"""Environment variables, read once by settings; a bad value is remembered by name and told to the process it concerns.

Settings are imported by every process, so a reader never raises: it returns the default and keeps a `Problem`.
`indexer_project.checks` then refuses to start the processes whose part of the configuration is missing or wrong.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import environ

PARTS = ("database", "sync", "events", "queue", "api", "metrics", "stream")

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One variable that is missing or wrong: `part` says which processes need it."""

    part: str
    name: str
    message: str
    hint: str
    missing: bool = False


class Environment:
    """Typed access to the process environment (and `.env`, when there is one), collecting problems by name."""

    def __init__(self, dotenv: Path) -> None:
        self._env = environ.Env()
        self.problems: list[Problem] = []
        self.names: list[str] = []
        if dotenv.is_file():
            self._env.read_env(str(dotenv))

    def complain(self, part: str, name: str, message: str, hint: str) -> None:
        self.problems.append(Problem(part, name, message, hint))

    def need(self, part: str, name: str, hint: str) -> None:
        self.problems.append(Problem(part, name, f"{name} is not set.", hint, missing=True))

    def text(self, name: str, default: str = "") -> str:
        self.names.append(name)
        return str(self._env.str(name, default=default)).strip()

    def words(self, name: str, default: str = "") -> list[str]:
        """A list of comma- or space-separated words."""
        return self.text(name, default).replace(",", " ").split()

    def choice(self, part: str, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value in choices:
            return value
        self.complain(part, name, f"{name}={value!r} is not one of {', '.join(choices)}.", f"Set {name}={default}.")
        return default

    def flag(self, part: str, name: str, default: bool) -> bool:
        value = self.text(name, str(default)).lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value not in ("0", "false", "no", "off", ""):
            self.complain(
                part, name, f"{name}={value!r} is neither true nor false.", f"Set {name}=true or {name}=false."
            )
        return False

    def whole(self, part: str, name: str, default: int, *, least: int = 0, most: int = 2**62) -> int:
        return self._number(part, name, int, default, least, most, "a whole number")

    def decimal(self, part: str, name: str, default: float, *, least: float = 0.0, most: float = 1e9) -> float:
        return self._number(part, name, float, default, least, most, "a number")

    def rate(self, part: str, name: str) -> tuple[int, int] | None:
        """So many in so many seconds, written as 600/minute; None when it is not set."""
        text = self.text(name)
        match = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour|day)", text)
        if text and not match:
            self.complain(part, name, f"{name}={text!r} is not a rate.", f"Set {name} as 600/minute, or leave it out.")
        return (int(match[1]), _SECONDS[match[2]]) if match else None

    def _number(self, part: str, name: str, kind: Callable[[str], T], default: T, least: T, most: T, what: str) -> T:
        text = self.text(name, str(default))
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:  # type: ignore[operator]  # T is int or float, by the callers above
            hint = f"Set {name} to {what} from {least} to {most}, or leave it out for {default}."
            self.complain(part, name, f"{name}={text!r} is not {what} in range.", hint)
            return default
        return value
