"""Shapes of the answers, for the schema and its documentation. Rows are made by the queries as they are answered."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from balances.queries.scan_budgets import SCAN
from balances.token_flags import FLAGS

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
    address = serializers.CharField(required=False, help_text="Whose balance it is, when accounts are asked for.")
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


class TokenEntry(serializers.Serializer[dict[str, object]]):
    """A token, with what is kept of its transfers."""

    tokenPath = TokenPathField()
    name = serializers.CharField(allow_blank=True, help_text="From the token's NewToken event; empty when it has none.")
    symbol = serializers.CharField(allow_blank=True)
    decimals = serializers.IntegerField(allow_null=True, help_text="null when the token has no NewToken event.")
    supply = AmountField(help_text="Minted less burned, which is the sum of all balances.")
    minted = AmountField(allow_null=True, help_text="null with height or time, as burned, holders and transfers are.")
    burned = AmountField(allow_null=True)
    holders = serializers.IntegerField(allow_null=True, min_value=0, help_text="Accounts with more than zero.")
    transfers = serializers.IntegerField(allow_null=True, min_value=0, help_text="Mints and burns too.")
    standard = serializers.BooleanField(
        help_text="Stamped by the chain's GRC20 library, or of a chain that had none; never of a script."
    )
    firstSeenHeight = serializers.IntegerField(
        allow_null=True, min_value=0, help_text="Of its first transfer or NewToken event, of what is indexed."
    )
    firstSeenTxHash = serializers.CharField(allow_null=True, help_text="Base64, as the tx-indexer gives it.")
    flags = FlagsField()


class HolderEntry(serializers.Serializer[dict[str, object]]):
    """What an account holds of a token, and how much that is of all there is."""

    address = serializers.CharField(help_text="The ledger key, to the letter: case counts.")
    tokenPath = TokenPathField()
    amount = AmountField()
    share = serializers.CharField(
        allow_null=True,
        help_text="amount / supply, as a decimal with twelve digits after the point, cut off; null without a supply.",
    )


class AccountEntry(serializers.Serializer[dict[str, object]]):
    """An account in a few numbers."""

    address = serializers.CharField(help_text="The ledger key, to the letter: case counts.")
    tokensHeld = serializers.IntegerField(
        allow_null=True,
        min_value=0,
        help_text=f"Tokens of which it has more than zero; null when it ever had more than {SCAN}, too many to count.",
    )
    transfers = serializers.IntegerField(
        allow_null=True, min_value=0, help_text="From or to it, mints and burns too; null as tokensHeld is."
    )
    firstHeight = serializers.IntegerField(allow_null=True, min_value=0, help_text="Of its first transfer.")
    lastHeight = serializers.IntegerField(allow_null=True, min_value=0, help_text="Of its last transfer.")


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
class Truth(serializers.Serializer[dict[str, object]]):
    """How far an answer is true."""

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
    firstHeight = serializers.IntegerField(
        min_value=1,
        allow_null=True,
        help_text="Height of the chain's first block after genesis, or of the first that any server has: what was "
        "before is not counted (/status says which). null until it is known.",
    )


class Answer(Truth):
    """What every list says beside its rows."""

    next = serializers.URLField(allow_null=True, help_text="The next page, also as a Link header; null on the last.")


class AnswerOfThen(Answer):
    """What a list says that may be one of the past."""

    height = serializers.IntegerField(
        required=False, min_value=0, help_text="With height or time: the height as of which this is."
    )
    time = serializers.DateTimeField(
        required=False, allow_null=True, help_text="With height or time: that of its block, RFC 3339, UTC."
    )


class Tokens(AnswerOfThen):
    """Tokens by path."""

    tokens = TokenEntry(many=True)


class Holders(AnswerOfThen):
    """Holders, largest first."""

    holders = HolderEntry(many=True)


class AccountAnswer(Truth):
    """An account."""

    account = AccountEntry()


class TokenBalances(AnswerOfThen):
    """Tokens by path."""

    balances = TokenBalance(many=True)


class AccountBalances(AnswerOfThen):
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
    indexedHeight = serializers.IntegerField(
        required=False, min_value=-1, help_text="What is indexed, when minHeight is not."
    )
