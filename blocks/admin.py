"""Blocks, transactions and coverage in the admin."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from blocks.models import AcceptedGap, Block, Chain, EndpointState, IncompleteRange, SynchronizerState, TransactionRow
from blocks.readonly_admin import (
    KeyedAdmin,
    ReadOnlyAdmin,
    block_hash,
    height,
    link,
    position,
    pretty_json,
    search_link,
)


@admin.register(Chain)
class ChainAdmin(ReadOnlyAdmin):
    """The one chain of this deployment, and which heights are in."""

    list_display = ("chain_id", "start_height", "first_height", "covered", "tip", "tip_seen_at")
    fields = (
        "chain_id",
        "first_block_hash",
        "start_height",
        "first_height",
        "first_height_proven",
        "covered",
        "tip",
        "tip_seen_at",
        "conflict",
    )
    search_fields: ClassVar[tuple[str, ...]] = ()

    @admin.display(description="coverage", empty_value="nothing yet")
    def covered(self, chain: Chain) -> SafeString:
        return format_html_join("\n", "{} to {}<br>", chain.coverage)


@admin.register(AcceptedGap)
class AcceptedGapAdmin(ReadOnlyAdmin):
    """Heights that a person accepted as missing (`manage.py gaps`)."""

    list_display = ("first_height", "last_height", "reason", "accepted_at")
    fields = list_display
    ordering = ("id",)
    search_fields: ClassVar[tuple[str, ...]] = ()


@admin.register(IncompleteRange)
class IncompleteRangeAdmin(ReadOnlyAdmin):
    """Ranges of heights that no endpoint has given whole so far."""

    list_display = ("first_height", "last_height", "reason", "attempts", "asked_at")
    fields = list_display
    ordering = ("first_height",)
    search_fields: ClassVar[tuple[str, ...]] = ()


@admin.register(EndpointState)
class EndpointStateAdmin(ReadOnlyAdmin):
    """The endpoints, as the leading synchronizer last reported them."""

    list_display = ("url", "tip", "trouble", "answered_at", "seen_at")
    fields = list_display
    ordering = ("url",)
    search_fields: ClassVar[tuple[str, ...]] = ()


@admin.register(SynchronizerState)
class SynchronizerStateAdmin(ReadOnlyAdmin):
    """Which synchronizer writes, and which ones stand by."""

    list_display = ("name", "leads", "since", "seen_at")
    fields = list_display
    ordering = ("name",)
    search_fields: ClassVar[tuple[str, ...]] = ()


@admin.register(Block)
class BlockAdmin(ReadOnlyAdmin):
    """Blocks, newest first."""

    list_display = ("height", "hash", "time", "transactions")
    fields = ("height", "hash", "last_block_hash", "time", "transactions", "total_txs", "proposer_address")
    ordering = ("-height",)
    search_help_text = "A height, or a block's hash (base64 or hexadecimal)."

    def find(self, rows: QuerySet[Block], term: str) -> QuerySet[Block]:
        number, name = height(term), block_hash(term)
        if number is not None:
            return rows.filter(height=number)
        return rows.filter(hash=name) if name else rows.none()

    @admin.display(description="transactions")
    def transactions(self, block: Block) -> SafeString | int:
        return search_link("blocks_transactionrow", str(block.height), block.num_txs) if block.num_txs else 0


@admin.register(TransactionRow)
class TransactionAdmin(KeyedAdmin):
    """Transactions, newest first."""

    key_columns = ("block_height", "index")
    list_display = ("place", "hash", "success", "gas_used", "gas_fee", "short_memo")
    fields = (
        "block",
        "index",
        "hash",
        "transfers",
        "success",
        "error",
        "memo",
        "gas_wanted",
        "gas_used",
        "gas_fee",
        "message_list",
        "event_list",
    )
    ordering = ("-block_height", "-index")
    search_help_text = "A height, height-index, or a transaction's hash (base64 or hexadecimal)."

    def get_queryset(self, request: HttpRequest) -> QuerySet[TransactionRow]:
        rows: QuerySet[TransactionRow] = super().get_queryset(request)
        # A list of a hundred transactions must not fetch their messages and events.
        match = request.resolver_match
        return rows.defer("messages", "events") if match and str(match.url_name).endswith("_changelist") else rows

    def find(self, rows: QuerySet[TransactionRow], term: str) -> QuerySet[TransactionRow]:
        number, place, name = height(term), position(term), block_hash(term)
        if number is not None:
            return rows.filter(block_height=number)
        if place:
            return rows.filter(block_height=place[0], index=place[1])
        return rows.filter(hash=name) if name else rows.none()

    @admin.display(description="block")
    def block(self, row: TransactionRow) -> SafeString:
        return link("blocks_block", row.block_height, row.block_height)

    @admin.display(description="transfers")
    def transfers(self, row: TransactionRow) -> SafeString:
        return search_link("balances_transferrow", row.key, "of this transaction")

    @admin.display(description="memo")
    def short_memo(self, row: TransactionRow) -> str:
        return row.memo if len(row.memo) <= 60 else f"{row.memo[:60]}…"

    @admin.display(description="messages")
    def message_list(self, row: TransactionRow) -> SafeString:
        return pretty_json(row.messages)

    @admin.display(description="events")
    def event_list(self, row: TransactionRow) -> SafeString:
        return pretty_json(row.events)


def transaction_link(block_height: int, tx_index: int) -> Any:
    """A link to a transaction's page."""
    return link("blocks_transactionrow", f"{block_height}-{tx_index}", f"{block_height}-{tx_index}")
