"""The message that carries the transfers of a span of heights (docs/messages.md): written, packed, read.

A body is ASCII JSON, so it is valid for SQS whatever a chain's strings hold. Tokens and addresses are written once each
and pointed at by position; amounts are decimal strings, exact in every language.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from events.parsing.grc20 import MAX_ADDRESS_BYTES, MAX_NAME_BYTES, MAX_TOKEN_BYTES
from postgres.text import is_storable

VERSION = 1

Height = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Index = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Side = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
Amount = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,20}\Z")]
Decimals = Annotated[int, msgspec.Meta(ge=0, le=255)]


class MessageInvalid(Exception):
    """A queue message that is not one of ours, or of a version this program does not know; the text says which.

    `outbox_id` is the row it came from, when the message says so and is of this chain.
    """

    def __init__(self, reason: str, outbox_id: int | None = None) -> None:
        super().__init__(reason)
        self.outbox_id = outbox_id


class Message(msgspec.Struct):
    """A decoded message. `id` is the outbox row; heights are inclusive.

    `tokens`: (path, standard). `transfers`: (height, tx_index, event_index, token, sender, recipient, amount), where
    token, sender and recipient are positions in `tokens` and `accounts`, −1 for the empty side of a mint or a burn.
    `announcements`: (height, tx_index, event_index, token, name, symbol, decimals).
    """

    version: int
    id: Height
    chain_id: str
    first_height: Height
    last_height: Height
    tokens: list[tuple[str, bool]]
    accounts: list[str]
    transfers: list[tuple[Height, Index, Index, Index, Side, Side, Amount]]
    announcements: list[tuple[Height, Index, Index, Index, str, str, Decimals]]


class _Envelope(msgspec.Struct):
    version: int
    id: Height
    chain_id: str


# RecursionError: brackets within brackets, a hundred thousand deep, cost a sender nothing.
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_message = msgspec.json.Decoder(Message).decode


def decode(body: str, chain_id: str | None) -> Message:
    """The message in `body`, of `chain_id` or, with None, of any chain.

    Raises `MessageInvalid` with what is wrong: not ours, another version, another chain.
    """
    try:
        envelope = _decode_envelope(body)
    except _UNREADABLE as error:
        raise MessageInvalid(f"not a message of this indexer: {error}") from None
    if chain_id is not None and envelope.chain_id != chain_id:
        raise MessageInvalid(f"a message of chain {envelope.chain_id!r}, and this database holds {chain_id!r}")
    if envelope.version != VERSION:
        reason = f"version {envelope.version}, and this program reads version {VERSION}"
        raise MessageInvalid(reason, envelope.id)
    try:
        message = _decode_message(body)
    except _UNREADABLE as error:
        raise MessageInvalid(f"not a message of version {VERSION}: {error}", envelope.id) from None
    if wrong := _wrong_tables(message):
        raise MessageInvalid(wrong, message.id)
    return message


def _wrong_tables(message: Message) -> str | None:
    tokens, accounts = len(message.tokens), len(message.accounts)
    for _, _, _, token, sender, recipient, _ in message.transfers:
        if token >= tokens or sender >= accounts or recipient >= accounts or sender == recipient == -1:
            return f"a transfer of token {token} from {sender} to {recipient} points outside the message's tables"
    if any(token >= tokens for _, _, _, token, *_ in message.announcements):
        return "an announcement points outside the message's tables"
    limits = ([path for path, _ in message.tokens], MAX_TOKEN_BYTES), (message.accounts, MAX_ADDRESS_BYTES)
    for texts, most in limits:
        for text in texts:
            if not text or not is_storable(text) or len(text.encode()) > most:
                return f"{text!r:.80} is no token or address"
    if not all(is_storable(name + symbol) for *_, name, symbol, _ in message.announcements):
        return "a token's name cannot be stored"
    return None


def within(message: Message, keeps: Callable[[int], bool]) -> Message:
    """What `message` tells of the heights that `keeps` is true of, and no token that it does not tell of then."""
    transfers = [row for row in message.transfers if keeps(row[0])]
    announcements = [row for row in message.announcements if keeps(row[0])]
    positions = sorted({row[3] for row in transfers} | {row[3] for row in announcements})
    kept = {before: after for after, before in enumerate(positions)}
    return msgspec.structs.replace(
        message,
        tokens=[message.tokens[position] for position in positions],
        transfers=[(*row[:3], kept[row[3]], *row[4:]) for row in transfers],
        announcements=[(*row[:3], kept[row[3]], *row[4:]) for row in announcements],
    )


@dataclass
class Packed:
    """A message without its id, which the outbox gives."""

    first_height: int
    last_height: int
    transfers: int
    chain_id: str
    _rest: str

    def body(self, outbox_id: int) -> str:
        head = {"version": VERSION, "id": outbox_id, "chain_id": self.chain_id}
        return json.dumps(head, separators=(",", ":"))[:-1] + self._rest


# A token, two addresses and the numbers, or a token, its name and symbol: an escaped character takes six bytes.
_LARGEST_ROW = 6 * (MAX_TOKEN_BYTES + 2 * max(MAX_ADDRESS_BYTES, MAX_NAME_BYTES)) + 256


# The numbers of a row: height, two indexes, three positions, an amount, and what stands between them.
_NUMBERS = 100


class Packer:
    """Fills messages with movements and announcements in chain order, none longer than `max_bytes`.

    Only a row that is longer by itself makes a message that is longer: of that one alone.
    """

    # Room for version, id, heights and the names of the tables, and for what SQS counts beside the body (the label).
    _HEAD_BYTES = 320

    def __init__(self, chain_id: str, max_bytes: int) -> None:
        self._chain_id = chain_id
        self._max_bytes = max_bytes - self._HEAD_BYTES - len(json.dumps(chain_id))
        self._done: list[Packed] = []
        self._draft = _Draft()

    def add_transfer(
        self, height: int, tx_index: int, event_index: int,
        token: str, standard: bool, sender: str, recipient: str, amount: int,
    ) -> None:  # fmt: skip
        self._make_room(height, token, standard, (sender, recipient))
        draft = self._draft
        t, s, r = draft.token(token, standard), draft.account(sender), draft.account(recipient)
        draft.add(draft.transfers, f'[{height},{tx_index},{event_index},{t},{s},{r},"{amount}"]')

    def add_announcement(
        self, height: int, tx_index: int, event_index: int,
        token: str, name: str, symbol: str, decimals: int, standard: bool = True,
    ) -> None:  # fmt: skip
        self._make_room(height, token, standard, (), (name, symbol))
        t = self._draft.token(token, standard)
        row = [height, tx_index, event_index, t, name, symbol, decimals]
        self._draft.add(self._draft.announcements, json.dumps(row, separators=(",", ":")))

    def _make_room(
        self, height: int, token: str, standard: bool, addresses: Sequence[str], texts: Sequence[str] = ()
    ) -> None:
        draft = self._draft
        # Measured only where the largest possible row might not fit.
        if draft.size + _LARGEST_ROW > self._max_bytes:
            row = _NUMBERS + sum(len(json.dumps(text)) for text in texts)
            if draft.size + draft.bytes_to_add(token, standard, addresses) + row > self._max_bytes:
                self._close()
        self._draft.see(height)

    def _close(self) -> None:
        if self._draft.first_height is not None:
            self._done.append(self._draft.packed(self._chain_id))
        self._draft = _Draft()

    def messages(self) -> Iterator[Packed]:
        self._close()
        yield from self._done


@dataclass
class _Draft:
    first_height: int | None = None
    last_height: int = 0
    size: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    token_rows: list[str] = field(default_factory=list)
    account_rows: list[str] = field(default_factory=list)
    transfers: list[str] = field(default_factory=list)
    announcements: list[str] = field(default_factory=list)

    def see(self, height: int) -> None:
        if self.first_height is None:
            self.first_height = height
        self.last_height = height

    def add(self, rows: list[str], row: str) -> None:
        rows.append(row)
        self.size += len(row) + 1

    def bytes_to_add(self, token: str, standard: bool, addresses: Sequence[str]) -> int:
        """What the tables grow by for a row of this token and these addresses."""
        new = [address for address in set(addresses) if address and address not in self.accounts]
        size = sum(len(json.dumps(address)) + 1 for address in new)
        return size if token in self.tokens else size + len(_token_row(token, standard)) + 1

    def token(self, path: str, standard: bool) -> int:
        position = self.tokens.get(path)
        if position is None:
            position = self.tokens[path] = len(self.tokens)
            self.add(self.token_rows, _token_row(path, standard))
        return position

    def account(self, address: str) -> int:
        if not address:
            return -1
        position = self.accounts.get(address)
        if position is None:
            position = self.accounts[address] = len(self.accounts)
            self.add(self.account_rows, json.dumps(address))
        return position

    def packed(self, chain_id: str) -> Packed:
        assert self.first_height is not None
        rest = (
            f',"first_height":{self.first_height},"last_height":{self.last_height}'
            f',"tokens":[{",".join(self.token_rows)}],"accounts":[{",".join(self.account_rows)}]'
            f',"transfers":[{",".join(self.transfers)}],"announcements":[{",".join(self.announcements)}]}}'
        )
        return Packed(self.first_height, self.last_height, len(self.transfers), chain_id, rest)


def _token_row(path: str, standard: bool) -> str:
    return json.dumps([path, standard], separators=(",", ":"))
