"""Shapes of the answers about transactions, blocks and refused events."""

from rest_framework import serializers

from balances.api.serializers.balances import Answer, TransferEntry, Truth
from events.parsing.grc20 import REASONS


class AttributeEntry(serializers.Serializer[dict[str, object]]):
    """An attribute of an event."""

    key = serializers.CharField(allow_blank=True)
    value = serializers.CharField(allow_blank=True)


class ReasonField(serializers.ChoiceField):
    """Why an event moves no balance."""

    def __init__(self) -> None:
        meaning = " ".join(f"*{reason}*: {text}" for reason, text in REASONS.items())
        super().__init__(choices=list(REASONS), help_text=f"Why it moves no balance. {meaning}")


class RefusedEntry(serializers.Serializer[dict[str, object]]):
    """An event that looks like a token event and moves no balance."""

    blockHeight = serializers.IntegerField(min_value=0)
    blockTime = serializers.DateTimeField(allow_null=True, help_text="Chain time, RFC 3339, UTC.")
    txHash = serializers.CharField(allow_null=True, help_text="Base64, as the tx-indexer gives it.")
    txIndex = serializers.IntegerField(min_value=0, help_text="Position in the block, from 0.")
    eventIndex = serializers.IntegerField(min_value=0, help_text="Position among all events of its transaction.")
    emitter = serializers.CharField(allow_blank=True, help_text="The package that emitted it.")
    type = serializers.CharField(allow_blank=True)
    attributes = AttributeEntry(
        many=True,
        allow_null=True,
        help_text="In the order emitted, repetitions too; null when the event had none. What is no Unicode is spelled "
        "out, as \\ud800.",
    )
    reason = ReasonField()
    detail = serializers.CharField(help_text="What about this event is wrong, with the value.")


class RefusedEvents(Answer):
    """Refused events, newest first."""

    refusedEvents = RefusedEntry(many=True)


class TransactionEntry(serializers.Serializer[dict[str, object]]):
    """A transaction as it is stored."""

    txHash = serializers.CharField(help_text="Base64, as the tx-indexer gives it.")
    blockHeight = serializers.IntegerField(min_value=0)
    blockTime = serializers.DateTimeField(allow_null=True, help_text="Chain time, RFC 3339, UTC.")
    txIndex = serializers.IntegerField(min_value=0, help_text="Position in the block, from 0.")
    success = serializers.BooleanField(help_text="A failed transaction moves nothing.")
    gasWanted = serializers.IntegerField()
    gasUsed = serializers.IntegerField()
    gasFee = serializers.CharField(allow_blank=True, help_text="Amount and denomination, as 1000ugnot.")
    memo = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True, help_text="The chain's error; empty when it succeeded.")
    transfers = TransferEntry(many=True, help_text="In the order emitted: the first ones.")
    transfersNext = serializers.URLField(
        allow_null=True,
        help_text="The transfers that follow, of this transaction and of its block; null: these are all.",
    )
    refusedEvents = RefusedEntry(many=True, help_text="In the order emitted: the first ones.")
    refusedEventsNext = serializers.URLField(
        allow_null=True, help_text="The refused events that follow, likewise; null: these are all."
    )


class Transactions(Answer):
    """Transactions with one hash, newest first: hashes are not unique on real chains."""

    transactions = TransactionEntry(many=True)


class BlockEntry(serializers.Serializer[dict[str, object]]):
    """A block as it is stored."""

    height = serializers.IntegerField(min_value=0)
    hash = serializers.CharField(allow_blank=True, help_text="Base64; empty for genesis.")
    lastBlockHash = serializers.CharField(allow_blank=True)
    time = serializers.DateTimeField(help_text="Chain time, RFC 3339, UTC.")
    numTxs = serializers.IntegerField(min_value=0)
    totalTxs = serializers.IntegerField(
        min_value=0, help_text="Since block 1; at height 0 the number of genesis transactions."
    )
    proposerAddress = serializers.CharField(allow_blank=True)


class BlockAnswer(Truth):
    """A block, and the first transfers and refused events in it, in chain order."""

    block = BlockEntry()
    transfers = TransferEntry(many=True)
    transfersNext = serializers.URLField(allow_null=True, help_text="The transfers that follow; null: these are all.")
    refusedEvents = RefusedEntry(many=True)
    refusedEventsNext = serializers.URLField(
        allow_null=True, help_text="The refused events that follow; null: these are all."
    )
