"""Shapes of the answers about the indexer itself."""

from rest_framework import serializers

from balances.api.serializers.balances import Truth
from balances.status import FEW
from events.outbox.backlog import RECENT_SECONDS

_FEW = f"The first {FEW}."


class LagEntry(serializers.Serializer[dict[str, object]]):
    """How far the index is behind the chain."""

    heights = serializers.IntegerField(
        min_value=0,
        allow_null=True,
        help_text="null while no endpoint that has what is stored says how far the chain is.",
    )
    seconds = serializers.FloatField(
        allow_null=True, help_text="Age of the newest block that is indexed; 0 at the tip, null while heights are."
    )


class NewestBlockEntry(serializers.Serializer[dict[str, object]]):
    """The highest block that is stored: when it grows old, the chain or its source stands still."""

    height = serializers.IntegerField(min_value=0)
    time = serializers.DateTimeField(help_text="Chain time, RFC 3339, UTC.")
    ageSeconds = serializers.FloatField(min_value=0)


class SynchronizerEntry(serializers.Serializer[dict[str, object]]):
    """A process that reads the chain: the one that writes, or one that stands by."""

    name = serializers.CharField(help_text="Host and process id.")
    leads = serializers.BooleanField(help_text="Whether it is the one that writes.")
    since = serializers.DateTimeField(help_text="Since when it leads, or stands by.")
    seenAt = serializers.DateTimeField(help_text="Its last sign of life.")
    silent = serializers.BooleanField(help_text="That is so long ago that it has probably ended.")


class GapEntry(serializers.Serializer[dict[str, object]]):
    """Heights that are missing, both inclusive."""

    fromHeight = serializers.IntegerField(min_value=0)
    toHeight = serializers.IntegerField(min_value=0)
    reason = serializers.CharField(allow_blank=True, help_text="Empty while they are only not there yet.")
    advice = serializers.CharField(allow_blank=True, help_text="The likely cause and the way out, where it is known.")


class GapsEntry(serializers.Serializer[dict[str, object]]):
    """Gaps: how many, and how many heights in them."""

    number = serializers.IntegerField(min_value=0)
    heights = serializers.IntegerField(min_value=0)
    first = GapEntry(many=True, help_text=_FEW)


class EndpointEntry(serializers.Serializer[dict[str, object]]):
    """A tx-indexer that is followed."""

    url = serializers.CharField(help_text="Scheme, host and port.")
    tip = serializers.IntegerField(
        min_value=-1, help_text="Highest height of which it showed the block; -1 until it has answered."
    )
    level = serializers.BooleanField(help_text="It is in use and has everything that is stored.")
    trouble = serializers.CharField(allow_blank=True, help_text="Why it is not in use; empty when all is well.")
    seenAt = serializers.DateTimeField(help_text="When this was reported.")
    answeredAt = serializers.DateTimeField(
        allow_null=True, help_text="When it last said how far the chain is and was level; null when it never was."
    )


class QueueEntry(serializers.Serializer[dict[str, object]]):
    """Messages that are not applied."""

    pending = serializers.IntegerField(min_value=0, help_text="Those that wait for a processor.")
    oldestPendingSeconds = serializers.FloatField(allow_null=True)
    unpublished = serializers.IntegerField(min_value=0, help_text="Those of them that the queue never got.")
    setAside = serializers.IntegerField(
        min_value=0, help_text="Those that could not be applied, and wait for a person."
    )
    recentTransfers = serializers.IntegerField(
        min_value=0, help_text=f"Transfers that were applied within the last {RECENT_SECONDS} seconds."
    )


class Status(Truth):
    """How everything is doing."""

    version = serializers.CharField()
    ready = serializers.BooleanField(help_text="What /ready says.")
    notReady = serializers.CharField(allow_null=True, help_text="Why not; null when it is ready.")
    conflict = serializers.CharField(
        allow_null=True, help_text="Two blocks that do not link, and the way out; null when there are none."
    )
    tip = serializers.IntegerField(
        min_value=-1, help_text="The highest height that an endpoint showed; never below indexedHeight."
    )
    tipSeenAt = serializers.DateTimeField(allow_null=True, help_text="When the tip last moved.")
    storedBlocks = serializers.IntegerField(
        min_value=0, help_text="Heights that are stored with all their transactions."
    )
    contiguousHeight = serializers.IntegerField(min_value=-1, help_text="Stored without a gap up to here.")
    lag = LagEntry()
    newestBlock = NewestBlockEntry(allow_null=True)
    firstHeightProven = serializers.BooleanField(help_text="Whether the block at firstHeight has no predecessor.")
    firstHeightNote = serializers.CharField(help_text="What firstHeight means, in words.")
    gaps = GapsEntry(help_text="Heights up to the tip that are not stored.")
    accepted = GapsEntry(help_text="Heights left out for good, because no server has them and a person accepted that.")
    endpoints = EndpointEntry(many=True)
    synchronizers = SynchronizerEntry(many=True, help_text=f"The one that leads first, then the others; {FEW} at most.")
    queue = QueueEntry()


class Ready(Truth):
    """The index is fit to answer from."""

    ready = serializers.ChoiceField(choices=[True])
    tip = serializers.IntegerField(min_value=-1)
