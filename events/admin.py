"""The outbox, refused events, and messages that were set aside, in the admin."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils.safestring import SafeString

from blocks.admin import transaction_link
from blocks.readonly_admin import ReadOnlyAdmin, at_place, height, pretty_json, unbroken
from events.models import OutboxMessage, RefusedEvent, SetAsideMessage
from events.parsing.grc20 import REASONS
from events.queues import dead_letters
from events.queues.base import QueueUnavailable


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


_STATE = f"""
SELECT {dead_letters.STATE} FROM set_aside_messages AS letters LEFT JOIN outbox ON outbox.id = letters.outbox_id
WHERE letters.id = set_aside_messages.id
"""  # noqa: S608  # our own constant


class Decision(ActionForm):
    """What is done with the letters that are ticked, and why."""

    reason = forms.CharField(required=False, label="Reason (to discard)")


@admin.register(SetAsideMessage)
class SetAsideMessageAdmin(ReadOnlyAdmin):
    """Dead letters, newest first: read-only, but for the two decisions of `manage.py deadletters`."""

    list_display = ("id", "state", "outbox_id", "reason", "receives", "received_at", "queue_message_id")
    fields = (
        "state",
        "meaning",
        "reason",
        "receives",
        "received_at",
        "outbox_id",
        "queue_message_id",
        "redriven_at",
        "discarded_at",
        "decision",
        "body",
    )
    ordering = ("-id",)
    actions = ("redrive", "discard")  # type: ignore[assignment]  # the other pages have none
    action_form = Decision
    search_help_text = "The number of an outbox message, or the queue's id of the message."

    def get_queryset(self, request: HttpRequest) -> QuerySet[SetAsideMessage]:
        rows: QuerySet[SetAsideMessage] = super().get_queryset(request)
        return rows.annotate(state_now=RawSQL(_STATE, []))  # noqa: S611  # our own constant

    def find(self, rows: QuerySet[SetAsideMessage], term: str) -> QuerySet[SetAsideMessage]:
        number = height(term)
        return rows.filter(queue_message_id=term) if number is None else rows.filter(outbox_id=number)

    @admin.display(description="state")
    def state(self, row: Any) -> str:
        return str(row.state_now)

    @admin.display(description="meaning")
    def meaning(self, row: SetAsideMessage) -> str:
        return dead_letters.STATES[self.state(row)]

    @admin.action(description="Redrive: have them tried again")
    def redrive(self, request: HttpRequest, rows: QuerySet[SetAsideMessage]) -> None:
        def decide(chosen: list[dead_letters.Letter], queue: dead_letters.MainQueue | None) -> str:
            return f"{dead_letters.redrive(chosen, queue)} messages are tried again."

        self._decide(request, rows, decide)

    @admin.action(description="Discard, with a reason")
    def discard(self, request: HttpRequest, rows: QuerySet[SetAsideMessage]) -> None:
        def decide(chosen: list[dead_letters.Letter], queue: dead_letters.MainQueue | None) -> str:
            for one in chosen:
                dead_letters.discard(one, str(request.POST.get("reason", "")), queue)
            return f"{len(chosen)} messages are discarded."

        self._decide(request, rows, decide)

    def _decide(
        self,
        request: HttpRequest,
        rows: QuerySet[SetAsideMessage],
        decide: Callable[[list[dead_letters.Letter], dead_letters.MainQueue | None], str],
    ) -> None:
        chosen = dead_letters.letters(ids=list(rows.values_list("pk", flat=True)))
        try:
            with dead_letters.open_queue() as queue:
                self.message_user(request, decide(chosen, queue))
        except (dead_letters.Refused, QueueUnavailable) as trouble:
            self.message_user(request, str(trouble), messages.ERROR)
