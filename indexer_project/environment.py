"""Environment variables, read once by settings; a bad value is remembered by name and told to the process it concerns.

Settings are imported by every process, so a reader never raises: it returns the default and keeps a `Problem`.
`indexer_project.checks` then refuses to start the processes whose part of the configuration is missing or wrong.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import environ

from indexer_project.dotenv import read_dotenv

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


class _Literal(environ.Env):  # type: ignore[misc]  # django-environ ships no types
    """`environ.Env` without its proxies: a value that begins with `$` is that value, and names no other variable."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        return str(os.environ.get(var, default))


_literal = _Literal()


class Environment:
    """Typed access to the process environment (and `.env`, when there is one), collecting problems by name.

    What is in `.env` becomes part of the process environment, where boto3 looks for its own variables, and never
    replaces what is there. Values are literal: no character in them, such as `$` or a quotation mark, has a meaning.
    """

    def __init__(self, dotenv: Path) -> None:
        self.problems: list[Problem] = []
        self.names: list[str] = []
        values, faults = read_dotenv(dotenv)
        for name, value in values.items():
            if "\0" in value:
                faults[name] = "it has a NUL character"
            else:
                os.environ.setdefault(name, value)
        for name, reason in faults.items():
            if name not in os.environ:
                self.complain("database", name, f"{name} in .env cannot be read: {reason}.", "Write NAME='value'.")

    def complain(self, part: str, name: str, message: str, hint: str) -> None:
        self.problems.append(Problem(part, name, message, hint))

    def need(self, part: str, name: str, hint: str) -> None:
        """Tell that `name` is missing, unless it was to be read from a file, which was told already."""
        if all(problem.name not in (name, f"{name}_FILE") for problem in self.problems):
            self.problems.append(Problem(part, name, f"{name} is not set.", hint, missing=True))

    def text(self, name: str, default: str = "") -> str:
        """The value without the white space around it; all else is literal."""
        self.names.append(name)
        return self._value("database", name, default).strip()

    def words(self, name: str, default: str = "") -> list[str]:
        """A list of comma- or space-separated words."""
        return _split(self.text(name, default))

    def secret(self, part: str, name: str) -> str:
        """The value of `name` to the letter, or the content of the file that `name`_FILE names, but for its last
        line's end; empty where neither is set. A secret is never part of a message."""
        file_name = f"{name}_FILE"
        self.names += [name, file_name]
        value, path = self._value(part, name), self._value(part, file_name)
        if path and value:
            self.complain(part, file_name, f"{name} and {file_name} are both set.", "Set one of them.")
        elif path:
            value = self._content(part, file_name, path)
        if value and not value.strip():
            self.complain(part, name, f"{name} is nothing but white space.", f"Set {name}, or leave it out.")
            return ""
        return value

    def secret_words(self, part: str, name: str) -> list[str]:
        """`words` that are a secret; a file may have one on each line."""
        return _split(self.secret(part, name))

    def _value(self, part: str, name: str, default: str = "") -> str:
        value: str = _literal(name, default=default)
        try:
            value.encode()
        except UnicodeEncodeError:
            self.complain(part, name, f"{name} is not UTF-8.", "Set it in UTF-8.")
            return default
        return value

    def _content(self, part: str, name: str, path: str) -> str:
        try:
            content = Path(path).read_bytes().decode().removesuffix("\n").removesuffix("\r")
        except OSError as error:
            self.complain(part, name, f"{name}={path!r} cannot be read: {error.strerror}.", "Name a file to read.")
            return ""
        except ValueError as error:  # a NUL character in the path, or content that is no text
            what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is no path"
            self.complain(part, name, f"{name}={path!r} cannot be read: {what}.", "Name a file to read.")
            return ""
        if not content:
            self.complain(part, name, f"{name}={path!r} is empty.", f"Write it, or leave {name} out.")
        return content

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


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()
