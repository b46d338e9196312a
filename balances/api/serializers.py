"""Shapes of the answers, for the schema and its documentation. Rows are made by the queries as they are answered."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from balances.flags import FLAGS

EXAMPLE_ADDRESS = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
EXAMPLE_PATH = "gno.land/r/demo/defi/foo20.FOO.0000000"


@extend_schema_field(
    {
        "oneOf": [{"type": "integer"}, {"type": "string", "pattern": "^-?[0-9]+$"}],
        "description": "In the token's smallest unit, exact at any size: an integer, or a string with amounts=string. "
        "Negative only where events contradict each other, or while earlier ones wait to be applied.",
        "examples": [1000000],
    }
)
class AmountField(serializers.Field[int, int, int, int]):
    """An amount in raw units."""


class TokenPathField(serializers.CharField):
    """A token's id."""

    def __init__(self) -> None:
        super().__init__(help_text="The token's id, exactly as the chain gives it.")


class FlagsField(serializers.ListField):
    """Reasons to doubt a token."""

    def __init__(self) -> None:
        meaning = " ".join(f"*{flag}*: {text}" for flag, text in FLAGS.items())
        super().__init__(
            child=serializers.ChoiceField(choices=list(FLAGS)), help_text=f"Reasons to doubt the token. {meaning}"
        )


class TokenBalance(serializers.Serializer[dict[str, object]]):
    """A token with an amount: the sum over all accounts, or what one account holds."""

    tokenPath = TokenPathField()
    amount = AmountField()
    name = serializers.CharField(allow_blank=True, help_text="From the token's NewToken event; empty when it has none.")
    symbol = serializers.CharField(allow_blank=True)
    decimals = serializers.IntegerField(allow_null=True, help_text="null when the token has no NewToken event.")
    flags = FlagsField()


class AccountBalance(serializers.Serializer[dict[str, object]]):
    """What an account holds of a token."""

    address = serializers.CharField(help_text="The ledger key, to the letter: case counts.")
    tokenPath = TokenPathField()
    amount = AmountField()
    flags = FlagsField()


class TransferEntry(serializers.Serializer[dict[str, object]]):
    """A movement of a token."""

    fromAddress = serializers.CharField(allow_blank=True, help_text="Empty for a mint.")
    toAddress = serializers.CharField(allow_blank=True, help_text="Empty for a burn.")
    tokenPath = TokenPathField()
    amount = AmountField()
    type = serializers.ChoiceField(choices=["mint", "burn", "transfer"])
    blockHeight = serializers.IntegerField(min_value=0)
    blockTime = serializers.DateTimeField(allow_null=True, help_text="Chain time, RFC 3339, UTC.")
    txHash = serializers.CharField(allow_null=True, help_text="Base64, as the tx-indexer gives it.")
    txIndex = serializers.IntegerField(min_value=0, help_text="Position in the block, from 0.")
    eventIndex = serializers.IntegerField(min_value=0, help_text="Position among all events of its transaction.")


@extend_schema_serializer(many=False)
class Answer(serializers.Serializer[dict[str, object]]):
    """What every list says beside its rows."""

    next = serializers.URLField(allow_null=True, help_text="The next page, also as a Link header; null on the last.")
    chainId = serializers.CharField(allow_null=True, help_text="null until the first block is stored.")
    indexedHeight = serializers.IntegerField(
        min_value=-1, help_text="Everything up to this height is in; -1 when nothing is. Also as X-Indexed-Height."
    )
    includesUpTo = serializers.IntegerField(
        min_value=-1,
        help_text="Nothing above this height is in. Larger than indexedHeight only while there are gaps, or heights "
        "that wait to be applied.",
    )
    acceptedGaps = serializers.IntegerField(
        min_value=0, help_text="Heights left out for good, because no server has them and a person accepted that."
    )


class TokenBalances(Answer):
    """Tokens by path."""

    balances = TokenBalance(many=True)


class AccountBalances(Answer):
    """Holders, largest first, or one account."""

    accountBalances = AccountBalance(many=True)


class Transfers(Answer):
    """Transfers, newest first."""

    transfers = TransferEntry(many=True)


@extend_schema_serializer(many=False)
class Health(serializers.Serializer[dict[str, object]]):
    """The process lives."""

    status = serializers.ChoiceField(choices=["ok"])
    version = serializers.CharField()


class Problem(serializers.Serializer[dict[str, object]]):
    """An error (RFC 9457)."""

    type = serializers.CharField(help_text="about:blank: the status says all there is to say of its kind.")
    title = serializers.CharField()
    status = serializers.IntegerField(min_value=400, max_value=599)
    detail = serializers.CharField(help_text="What was wrong, with the value, and what is allowed.")
    error = serializers.CharField(help_text="The same text as detail.")
    parameter = serializers.CharField(required=False, help_text="Which parameter was refused.")
