"""The outbox, refused events, and messages that were set aside, in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from blocks.admin import transaction_link
from blocks.read_only import ReadOnlyAdmin, at_place, height, pretty_json, unbroken
from events.grc20 import REASONS
from events.models import OutboxMessage, RefusedEvent, SetAsideMessage


class ReasonFilter(admin.SimpleListFilter):
    """Refused events of one reason, by the index that begins with it."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason, reason) for reason in REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


@admin.register(RefusedEvent)
class RefusedEventAdmin(ReadOnlyAdmin):
    """Events that look like token events and moved nothing, newest first."""

    list_display = ("event", "why", "type", "detail", "emitter")
    list_filter = (ReasonFilter,)
    fields = ("transaction", "event_index", "why", "meaning", "detail", "emitter", "type", "attribute_list")
    ordering = ("-block_height", "-tx_index", "-event_index")
    search_help_text = "A height, height-transaction, height-transaction-event, or a transaction's hash."

    def find(self, rows: QuerySet[RefusedEvent], term: str) -> QuerySet[RefusedEvent]:
        found = at_place(rows, term)
        return rows.none() if found is None else found

    @admin.display(description="event")
    def event(self, row: RefusedEvent) -> SafeString:
        return unbroken(f"{row.block_height}-{row.tx_index}-{row.event_index}")

    @admin.display(description="reason")
    def why(self, row: RefusedEvent) -> str:
        return row.reason

    @admin.display(description="transaction")
    def transaction(self, row: RefusedEvent) -> Any:
        return transaction_link(row.block_height, row.tx_index)

    @admin.display(description="meaning")
    def meaning(self, row: RefusedEvent) -> str:
        return REASONS.get(row.reason, "")

    @admin.display(description="attributes")
    def attribute_list(self, row: RefusedEvent) -> SafeString:
        return pretty_json(row.attributes)


class StateFilter(admin.SimpleListFilter):
    """Messages that wait, by the index that has only these."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "waits to be applied"), ("aside", "set aside")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(applied_at=None, set_aside_at__isnull=self.value() == "waiting")


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """Messages about spans of heights, newest first."""

    list_display = ("id", "heights", "transfers", "state", "created_at", "publishes", "published_at", "applied_at")
    list_filter = (StateFilter,)
    ordering = ("-id",)
    search_help_text = "A height: the messages that tell of it."

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxMessage]:
        rows: QuerySet[OutboxMessage] = super().get_queryset(request)
        match = request.resolver_match
        return rows.defer("body") if match and str(match.url_name).endswith("_changelist") else rows

    def find(self, rows: QuerySet[OutboxMessage], term: str) -> QuerySet[OutboxMessage]:
        # No index, and none needed: the outbox is pruned, and a row of it stands for hundreds of transfers.
        number = height(term)
        return rows.none() if number is None else rows.filter(first_height__lte=number, last_height__gte=number)

    @admin.display(description="heights")
    def heights(self, row: OutboxMessage) -> str:
        return f"{row.first_height} to {row.last_height}"

    @admin.display(description="state")
    def state(self, row: OutboxMessage) -> str:
        if row.applied_at:
            return "applied"
        if row.set_aside_at:
            return "set aside"
        return "published" if row.published_at else "waits"


@admin.register(SetAsideMessage)
class SetAsideMessageAdmin(ReadOnlyAdmin):
    """Messages that nobody understood, newest first."""

    list_display = ("queue_message_id", "outbox_id", "reason", "received_at")
    ordering = ("-id",)
    search_help_text = "The number of an outbox message, or the queue's id of the message."

    def find(self, rows: QuerySet[SetAsideMessage], term: str) -> QuerySet[SetAsideMessage]:
        number = height(term)
        return rows.filter(queue_message_id=term) if number is None else rows.filter(outbox_id=number)
