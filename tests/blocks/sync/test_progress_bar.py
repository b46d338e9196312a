"""What the synchronizer says of its progress: nothing that it does not know."""

import logging
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest

from blocks.sync import progress_bar
from blocks.sync.progress_bar import ProgressReport

pytestmark = pytest.mark.indexer


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def report(out: StringIO, *, tip: int, left: int | None, coverage: list[tuple[int, int]]) -> ProgressReport:
    made = ProgressReport(out)
    followed: Any = SimpleNamespace(tip=tip, left=lambda: left, coverage=coverage)
    made.watch(followed)
    return made


@pytest.mark.parametrize(
    ("tip", "left", "said"),
    [
        (-1, None, "tip=unknown left=unknown seconds_left=unknown"),
        (2588, 0, "tip=2588 left=0 seconds_left=0"),
        (2588, 2588, "tip=2588 left=2588 seconds_left="),
    ],
)
def test_a_tip_that_is_unknown_is_called_so(
    tip: int, left: int | None, said: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bar, "LINE_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, "blocks.sync.progress_bar"):
        report(StringIO(), tip=tip, left=left, coverage=[(0, 2587)]).stored(100, 7)
    (line,) = caplog.messages
    assert line.startswith("Stored blocks=100 transactions=7 ")
    assert said in line
    assert "-" not in line


def test_a_bar_without_a_known_tip_has_no_end() -> None:
    unknown = Terminal()
    report(unknown, tip=-1, left=None, coverage=[(0, 99)]).stored(100, 7)
    assert "100 blocks" in unknown.getvalue()
    assert "-" not in unknown.getvalue()
    known = Terminal()
    report(known, tip=399, left=300, coverage=[(0, 99)]).stored(100, 7)
    assert "100/400" in known.getvalue()
