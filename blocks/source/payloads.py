"""Answers of a tx-indexer, decoded and checked for shape; nothing here trusts what it reads.

Messages and events stay JSON as they came: they are stored so, and whoever reads events decodes them. An ordinary body
is decoded in one pass; a body that holds a lone surrogate or bytes that are no UTF-8 (memos may) takes the slow way,
which keeps such characters as escapes.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import msgspec

CAP_MESSAGE = "max elements per query reached"
CAP_CODES = ("MAX_ELEMENTS_REACHED", "BLOCK_EXCEEDS_MAX_ELEMENTS")

Height = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
BigInt = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class BlockAnswer(msgspec.Struct):
    height: Height
    hash: str
    time: str
    num_txs: Count
    total_txs: Height
    last_block_hash: str
    chain_id: str
    proposer_address_raw: str = ""

    def content(self) -> tuple[str, str, str, int, int]:
        """What two servers must agree about; how they print a time is their own affair."""
        return self.chain_id, self.hash, self.last_block_hash, self.num_txs, self.total_txs

    def stored_time(self) -> datetime:
        """The block's time to the microsecond. Raises ValueError when it is not a time."""
        # Nine digits of fraction come from the chain; Python keeps six and drops the rest.
        time = datetime.fromisoformat(self.time)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


class Coin(msgspec.Struct):
    amount: int
    denom: str


class Response(msgspec.Struct):
    events: msgspec.Raw
    error: str = ""


class TransactionAnswer(msgspec.Struct):
    block_height: Height
    index: Count
    hash: str
    success: bool
    response: Response
    messages: msgspec.Raw = msgspec.Raw(b"[]")
    gas_wanted: BigInt = 0
    gas_used: BigInt = 0
    gas_fee: Coin | None = None
    memo: str = ""

    @property
    def events(self) -> bytes:
        """The JSON list of events, as it came."""
        return bytes(self.response.events)

    def stored_fee(self) -> str:
        """The fee as the chain prints coins, e.g. "1000ugnot"; empty when there is none."""
        return f"{self.gas_fee.amount}{self.gas_fee.denom}" if self.gas_fee and self.gas_fee.denom else ""


class _Error(msgspec.Struct):
    message: str = ""
    extensions: dict[str, Any] | None = None


class HeightAnswer(msgspec.Struct):
    height: Height


class AnswerData(msgspec.Struct):
    latestBlockHeight: int | None = None
    getBlocks: list[BlockAnswer] | None = None
    first: list[BlockAnswer] | None = None
    below: list[BlockAnswer] | None = None
    above: list[BlockAnswer] | None = None
    block: list[BlockAnswer] | None = None
    heights: list[HeightAnswer] | None = None
    getTransactions: list[TransactionAnswer] | None = None


class _Answer(msgspec.Struct):
    data: AnswerData | None = None
    errors: list[_Error] | None = None


class _Errors(msgspec.Struct):
    """An answer whose rows are not looked at: where there are errors, they may be anything."""

    data: Any = None
    errors: list[_Error] | None = None


class AnswerInvalid(Exception):
    """The body is not an answer of a tx-indexer; the text says where it stops making sense."""


class RowsInvalid(AnswerInvalid):
    """An answer with rows that make no sense: one of those asked for is to blame."""


class AnswerRefused(Exception):
    """The server answered with `errors`; partial data beside them is never taken. The text is all their messages."""


class RowsRefused(AnswerRefused):
    """Errors beside partial data: the server stumbled over one of the rows asked for."""


class CapReached(AnswerRefused):
    """More rows match than one answer may hold (10,000 on servers of today): ask for less.

    `partial`: the rows that came, in order, which may end inside a block.
    """

    def __init__(self, message: str, partial: AnswerData | None) -> None:
        super().__init__(message)
        self.partial = partial


_decode = msgspec.json.Decoder(_Answer).decode


def read(body: bytes) -> AnswerData:
    """The data of an answer.

    Raises `CapReached`, `RowsRefused`, `AnswerRefused`, `RowsInvalid`, `AnswerInvalid`.
    """
    answer = _read_fast(body) or _read_slowly(body)
    if answer.errors:
        _refuse(answer.errors, answer.data is not None, answer.data)
    if answer.data is None:
        raise AnswerInvalid("an answer without data and without errors")
    return answer.data


def _read_fast(body: bytes) -> _Answer | None:
    """The answer in an ordinary body; None where a second look is due."""
    try:
        body.decode()
        return _decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None


def _read_slowly(body: bytes) -> _Answer:
    try:
        said = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid(f"{error!s:.300}") from None
    try:
        return msgspec.convert(_keep_raw(said), _Answer)
    except (ValueError, RecursionError) as error:  # msgspec.ValidationError is a ValueError
        invalid = RowsInvalid(f"{error!s:.300}")
    try:
        errors = msgspec.convert(said, _Errors)
    except ValueError:
        raise invalid from None
    if errors.errors:
        _refuse(errors.errors, errors.data is not None)
    raise invalid


def _refuse(errors: list[_Error], with_data: bool, data: AnswerData | None = None) -> NoReturn:
    for error in errors:
        if CAP_MESSAGE in error.message or (error.extensions or {}).get("code") in CAP_CODES:
            raise CapReached(error.message, data)
    text = "; ".join(error.message for error in errors)[:2000]
    raise RowsRefused(text) if with_data else AnswerRefused(text)


def _keep_raw(answer: Any) -> Any:
    """The decoded answer with messages and events as JSON again, for their place in `TransactionAnswer` is raw."""
    data = answer.get("data") if isinstance(answer, dict) else None
    rows = data.get("getTransactions") if isinstance(data, dict) else None
    for row in rows if isinstance(rows, list) else ():
        response = row.get("response") if isinstance(row, dict) else None
        if "messages" in (row if isinstance(row, dict) else ()):
            row["messages"] = msgspec.Raw(json.dumps(row["messages"]).encode())
        if isinstance(response, dict) and "events" in response:
            response["events"] = msgspec.Raw(json.dumps(response["events"]).encode())
    return answer
