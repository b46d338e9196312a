"""Shapes of the answers about the indexer itself."""

from rest_framework import serializers

from balances.api.serializers import Truth
from balances.status import FEW
from events.pending import RECENT_SECONDS

_FEW = f"The first {FEW}."


class LagEntry(serializers.Serializer[dict[str, object]]):
    """How far the index is behind the chain."""

    heights = serializers.IntegerField(min_value=0)
    seconds = serializers.FloatField(
        allow_null=True, help_text="Age of the newest block that is indexed; 0 at the tip, null while there is none."
    )


class GapEntry(serializers.Serializer[dict[str, object]]):
    """Heights that are missing, both inclusive."""

    fromHeight = serializers.IntegerField(min_value=0)
    toHeight = serializers.IntegerField(min_value=0)
    reason = serializers.CharField(allow_blank=True, help_text="Empty while they are only not there yet.")


class GapsEntry(serializers.Serializer[dict[str, object]]):
    """Gaps: how many, and how many heights in them."""

    number = serializers.IntegerField(min_value=0)
    heights = serializers.IntegerField(min_value=0)
    first = GapEntry(many=True, help_text=_FEW)


class EndpointEntry(serializers.Serializer[dict[str, object]]):
    """A tx-indexer that is followed."""

    url = serializers.CharField(help_text="Scheme, host and port.")
    tip = serializers.IntegerField(min_value=-1, help_text="-1 while it is left alone.")
    trouble = serializers.CharField(allow_blank=True, help_text="Why it is left alone; empty when all is well.")
    seenAt = serializers.DateTimeField()


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
    tip = serializers.IntegerField(min_value=-1, help_text="The highest height that an endpoint said it has.")
    tipSeenAt = serializers.DateTimeField(allow_null=True, help_text="When the tip last moved.")
    storedBlocks = serializers.IntegerField(
        min_value=0, help_text="Heights that are stored with all their transactions."
    )
    contiguousHeight = serializers.IntegerField(min_value=-1, help_text="Stored without a gap up to here.")
    lag = LagEntry()
    gaps = GapsEntry(help_text="Heights up to the tip that are not stored.")
    accepted = GapsEntry(help_text="Heights left out for good, because no server has them and a person accepted that.")
    endpoints = EndpointEntry(many=True)
    queue = QueueEntry()


class Ready(Truth):
    """The index is fit to answer from."""

    ready = serializers.ChoiceField(choices=[True])
    tip = serializers.IntegerField(min_value=-1)
