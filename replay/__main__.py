"""``python -m replay FOLDER``: serve a recording until told to stop."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TypeVar

from replay.faults import Faults
from replay.recording import RecordingError, load_recording
from replay.server import ReplaySource

Number = TypeVar("Number", int, float)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status: 0, or 2 for settings that cannot be served."""
    parser = _parser()
    options = parser.parse_args(arguments)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        source = ReplaySource(
            load_recording(options.recording),
            start=options.start,
            blocks_per_second=options.blocks_per_second,
            cap=options.cap,
            faults=_faults(options),
            host=options.host,
            port=options.port,
        )
        with source:
            sys.stdout.write(f"replaying {options.recording} at {source.url}, tip {source.tip}\n")
            sys.stdout.flush()
            stop.wait()
    except (RecordingError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot listen at {options.host}:{options.port}: {error.strerror}; try another --port (0: any)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m replay",
        description="Answer as gno.land's tx-indexer does, over a folder of recordings.",
        epilog="Chances (P) are from 0 to 1.",
    )
    add = parser.add_argument
    add("recording", help="a folder with blocks.jsonl and transactions.jsonl")
    add("--host", default="127.0.0.1")
    add("--port", type=_number(int, 0, 65535), default=8546, help="0 takes a free one (default: 8546)")
    add(
        "--start", type=_start, default=None, metavar="N|P%", help="blocks at first: a number or a share (default: all)"
    )
    add("--blocks-per-second", type=_number(float, 0), default=0.0, metavar="X", help="blocks that appear after that")
    add("--cap", type=_number(int, 1), default=10_000, help="rows of one root field that make it err (default: 10000)")

    faults = parser.add_argument_group("faults").add_argument
    faults("--seed", type=int, default=0, help="which requests meet the faults given by chance (default: 0)")
    faults("--late", type=_chance_and_seconds, default=(0.0, 0.0), metavar="P:SECONDS", help="late answers")
    faults("--too-many-requests", type=_chance_and_seconds, default=(0.0, 1.0), metavar="P:SECONDS", help="status 429")
    faults("--server-error", type=_number(float, 0, 1), default=0.0, metavar="P", help="status 500")
    faults("--cut-body", type=_number(float, 0, 1), default=0.0, metavar="P", help="bodies cut in the middle")
    faults("--announce-early", type=_number(float, 0), default=0.0, metavar="SECONDS", help="transactions come later")
    faults("--announce-before-block", type=_number(float, 0), default=0.0, metavar="SECONDS", help="blocks do, too")
    faults(
        "--missing-transaction",
        type=_height_and_asks,
        action="append",
        default=[],
        metavar="HEIGHT:ASKS",
        help="one transaction is missing that many times, -1 for ever (repeatable)",
    )
    faults("--missing-block", type=_number(int, 0), action="append", default=[], metavar="HEIGHT", help="(repeatable)")
    faults("--other-chain", nargs="?", const=True, default=False, metavar="FOLDER", help="another chain answers here")
    faults("--refuse-websocket", action="store_true", help="websockets are answered 403")
    faults("--silent-websocket", action="store_true", help="websockets are accepted and nothing is said")
    faults("--introspection-disabled", action="store_true")
    faults("--remove", action="append", default=[], metavar="TYPE.FIELD", help="unknown to this server (repeatable)")
    return parser


def _faults(options: argparse.Namespace) -> Faults:
    return Faults(
        seed=options.seed,
        late=options.late[0],
        late_seconds=options.late[1],
        too_many_requests=options.too_many_requests[0],
        retry_after=round(options.too_many_requests[1]),
        server_error=options.server_error,
        cut_body=options.cut_body,
        announce_early=options.announce_early,
        announce_before_block=options.announce_before_block,
        missing_transactions=dict(options.missing_transaction),
        missing_blocks=frozenset(options.missing_block),
        other_chain=load_recording(options.other_chain)
        if isinstance(options.other_chain, str)
        else options.other_chain,
        refuse_websocket=options.refuse_websocket,
        silent_websocket=options.silent_websocket,
        introspection_disabled=options.introspection_disabled,
        fields_removed=frozenset(options.remove),
    )


def _number(kind: Callable[[str], Number], low: Number, high: Number | None = None) -> Callable[[str], Number]:
    wanted = f"wanted {low} or more" if high is None else f"wanted {low} to {high}"

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number; {wanted}") from None
        # Written so that NaN is refused too.
        if not value >= low or (high is not None and not value <= high):
            raise argparse.ArgumentTypeError(f"{text} is out of range; {wanted}")
        return value

    return read


def _start(text: str) -> float:
    if text.endswith("%"):
        return _number(float, 0.0, 100.0)(text[:-1]) / 100
    return _number(int, 0)(text)


def _chance_and_seconds(text: str) -> tuple[float, float]:
    chance, colon, seconds = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} lacks the seconds; write CHANCE:SECONDS, such as 0.1:2")
    return _number(float, 0.0, 1.0)(chance), _number(float, 0.0)(seconds)


def _height_and_asks(text: str) -> tuple[int, int]:
    height, colon, asks = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} lacks the number of asks; write HEIGHT:ASKS, such as 7:2 or 7:-1")
    return _number(int, 0)(height), _number(int, -1)(asks)


if __name__ == "__main__":
    sys.exit(main())
