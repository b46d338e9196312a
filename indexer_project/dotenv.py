"""The syntax of `.env`: `NAME=value` a line, every value taken literally; nothing is expanded.

A value without quotes is the rest of its line. In single quotes everything stands for itself; in double quotes a
backslash before `"`, `\\`, `$` or `` ` `` is left out, as in a shell.
"""

import re
from pathlib import Path

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)


def read_dotenv(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The values of the file, by name, and what cannot be read in it: name, or `line N`, and the reason.

    No file is no values. No message has any part of a value: it may be a secret.
    """
    values: dict[str, str] = {}
    faults: dict[str, str] = {}
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return values, faults
    except (OSError, UnicodeDecodeError) as error:
        return values, {path.name: error.strerror or "" if isinstance(error, OSError) else "it is not UTF-8"}
    for number, line in enumerate(content.split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            faults[f"line {number}"] = "it is not NAME=value"
            continue
        name, text = match.groups()
        value = _unquote(text)
        faults.pop(name, None)
        if value is None:
            faults[name] = "its quotes do not end where the line does; put the value in single quotes"
        else:
            values[name] = value
    return values, faults


def _unquote(text: str) -> str | None:
    if text[:1] not in ("'", '"'):
        return text
    if len(text) < 2 or text[-1] != text[0]:
        return None
    inner = text[1:-1]
    if text[0] == "'":
        return inner
    if re.search(r'(?<!\\)(?:\\\\)*(?:"|\\\Z)', inner):
        return None
    return re.sub(r'\\(["\\$`])', r"\1", inner)
