"""Shapes of the answers about the past of one account and one token."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from balances.api.serializers.balances import AmountField, Answer, TokenPathField, TransferEntry, Truth


class StatementEntry(TransferEntry):
    """A transfer, and what it did to the balance."""

    change = AmountField(help_text="What the balance gained; 0 for what the account sent to itself.")
    balanceBefore = AmountField()
    balanceAfter = AmountField()


class Statement(Answer):
    """The transfers of a page, oldest first, and what was held at the ends of the period and of the page."""

    address = serializers.CharField()
    tokenPath = TokenPathField()
    fromHeight = serializers.IntegerField(
        min_value=0, help_text="Where the period begins; above toHeight: it is empty."
    )
    toHeight = serializers.IntegerField(min_value=-1, help_text="Where it ends, at indexedHeight at the latest.")
    openingBalance = AmountField(help_text="Before fromHeight.")
    closingBalance = AmountField(help_text="After toHeight.")
    pageOpeningBalance = AmountField(help_text="Before the first transfer of this page.")
    pageClosingBalance = AmountField(help_text="After the last one.")
    consistent = serializers.BooleanField(
        help_text="Whether what the transfers add up to is what is known from elsewhere. false is a fault of this "
        "index: please report it."
    )
    transfers = StatementEntry(many=True)


class PointEntry(serializers.Serializer[dict[str, object]]):
    """What was held at a point."""

    height = serializers.IntegerField(min_value=0, help_text="The last block up to then.")
    time = serializers.DateTimeField(
        allow_null=True, help_text="Of the block, or the time itself with an interval of time. RFC 3339, UTC."
    )
    amount = AmountField()


@extend_schema_serializer(many=False)
class Series(Truth):
    """A balance along a period."""

    address = serializers.CharField()
    tokenPath = TokenPathField()
    points = PointEntry(many=True)
