"""The shapes the replay's tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from replay.recording import Recording

RECORDINGS = Path(__file__).parents[2] / "recordings"


class Answered(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def errors(self) -> Any:
        return self.json["errors"]


Ask = Callable[..., Answered]
"""``ask(source, query, variables)``"""
ChainOf = Callable[..., Recording]
"""``chain_of(3, 0, 2)``"""
WaitUntil = Callable[[Callable[[], object]], None]
