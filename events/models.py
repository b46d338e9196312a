"""What waits to be applied (outbox), and what was refused, with the reason."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from events.parsing.grc20 import REASONS
from postgres.fields import RawJSONField


class OutboxMessage(models.Model):
    """A message about a span of heights, committed with the blocks it tells of; it stays until it is applied.

    `applied_at` is set in the database transaction that applies the transfers. A row that was published and is not
    applied within `OUTBOX_REPUBLISH_SECONDS` is published again.
    """

    first_height = models.BigIntegerField()
    last_height = models.BigIntegerField()
    transfers = models.IntegerField()
    body = models.TextField(help_text="The message, docs/messages.md; ASCII JSON.")
    created_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    publishes = models.IntegerField(db_default=0)
    leased_until = models.DateTimeField(null=True, help_text="Until then, one relay has it in hand.")
    applied_at = models.DateTimeField(null=True)
    set_aside_at = models.DateTimeField(null=True, help_text="When a processor could not understand it.")

    class Meta:
        db_table = "outbox"
        verbose_name = "outbox message"
        indexes = [
            models.Index(fields=["first_height"], name="outbox_pending_height", condition=Q(applied_at=None)),
            models.Index(fields=["id"], name="outbox_pending", condition=Q(applied_at=None, set_aside_at=None)),
            models.Index(fields=["applied_at"], name="outbox_applied"),
            models.Index(
                Coalesce("published_at", models.Value("-infinity"), output_field=models.DateTimeField()),
                "id",
                name="outbox_unpublished",
                condition=Q(applied_at=None, set_aside_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"message {self.pk} (heights {self.first_height} to {self.last_height})"


class RefusedEvent(models.Model):
    """An event that looks like a token event and moves no balance, kept with the reason."""

    block_height = models.BigIntegerField()
    tx_index = models.IntegerField()
    event_index = models.IntegerField(help_text="Position among all events of the transaction, from 0.")
    emitter = models.TextField(help_text="The package that emitted it (pkg_path).")
    type = models.TextField()
    attributes = RawJSONField(null=True, help_text="Pairs of key and value, in the order emitted.")
    reason = models.CharField(max_length=32, choices=[(reason, text) for reason, text in REASONS.items()])
    detail = models.TextField(help_text="What about this event is wrong, with the value.")

    class Meta:
        db_table = "refused_events"
        constraints = [
            models.UniqueConstraint(
                fields=["block_height", "tx_index", "event_index"], name="refused_event_position_unique"
            )
        ]
        indexes = [
            models.Index(fields=["reason", "block_height", "tx_index", "event_index"], name="refused_event_reason"),
            # Its hash is a fifth of a path, and of a length that every index row can take.
            models.Index(
                models.Func("emitter", models.Value(0), function="hashtextextended"),
                "block_height",
                "tx_index",
                "event_index",
                name="refused_event_emitter",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} at {self.block_height}/{self.tx_index}/{self.event_index}"


class SetAsideMessage(models.Model):
    """A queue message that could not be applied, with the reason; its body is kept for a person to look at.

    What became of it follows from its outbox row, where it is the copy of one, and from what a person decided
    (`events/queues/dead_letters.py`).
    """

    queue_message_id = models.TextField()
    outbox_id = models.BigIntegerField(null=True)
    body = models.TextField()
    reason = models.TextField()
    received_at = models.DateTimeField(db_default=Now(), help_text="The last time.")
    receives = models.IntegerField(db_default=1, help_text="How often it came and could not be applied.")
    redriven_at = models.DateTimeField(null=True, help_text="When a person last had it tried again.")
    discarded_at = models.DateTimeField(null=True, help_text="When a person decided that it is not needed.")
    decision = models.TextField(blank=True, db_default="", help_text="Why it was discarded.")

    class Meta:
        db_table = "set_aside_messages"
        constraints = [
            models.UniqueConstraint(fields=["queue_message_id"], name="set_aside_message_unique"),
        ]
        indexes = [models.Index(fields=["outbox_id"], name="set_aside_message_row")]

    def __str__(self) -> str:
        return f"{self.queue_message_id}: {self.reason}"
