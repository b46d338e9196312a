"""Tokens, accounts, transfers and balances in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from balances.models import (
    Account,
    Announcement,
    BalanceRow,
    Token,
    TokenTotals,
    TransferRow,
)
from balances.token_flags import flags
from balances.token_spellings import sub_realms, with_point
from blocks.admin import transaction_link
from blocks.readonly_admin import COUNTED_ROWS, KeyedAdmin, ReadOnlyAdmin, at_place, search_link

TOKENS_OF_A_REALM = 20
"""So many tokens of one realm are looked into when a realm is searched for."""


class AnnouncementInline(admin.TabularInline[Announcement, Token]):
    """The NewToken events of a token; the first one names it."""

    model = Announcement
    fields = ("block_height", "tx_index", "event_index", "name", "symbol", "decimals")
    ordering = ("block_height", "tx_index", "event_index")
    max_num = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever may see the token

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens by path, with what they are called and how much there is."""

    list_display = ("path", "doubts", "symbol", "name", "decimals", "supply", "holders", "transfers")
    list_select_related = ("totals",)
    fields = (
        "path",
        "key",
        "realm",
        "standard",
        "name",
        "symbol",
        "decimals",
        "doubts",
        "supply",
        "minted",
        "burned",
        "holders",
        "transfers",
        "lists",
    )
    inlines = (AnnouncementInline,)
    ordering = ("path",)
    search_help_text = "A token's id, its key (realm.SYMBOL or realm:SYMBOL) or its realm; or a symbol, to the letter."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        rows: QuerySet[Token] = super().get_queryset(request).select_related("totals")
        return rows

    def find(self, rows: QuerySet[Token], term: str) -> QuerySet[Token]:
        # Few enough to be looked through for a symbol: there are as many as realms made, not as transfers.
        return rows.filter(spelled(term) | Q(symbol=term))

    @admin.display(description="supply")
    def supply(self, token: Token) -> int:
        totals = totals_of(token)
        return int(totals.minted - totals.burned)

    @admin.display(description="minted")
    def minted(self, token: Token) -> int:
        return int(totals_of(token).minted)

    @admin.display(description="burned")
    def burned(self, token: Token) -> int:
        return int(totals_of(token).burned)

    @admin.display(description="holders")
    def holders(self, token: Token) -> int:
        return totals_of(token).holders

    @admin.display(description="transfers")
    def transfers(self, token: Token) -> int:
        return totals_of(token).transfers

    @admin.display(description="flags")
    def doubts(self, token: Token) -> str:
        return ", ".join(flags(token, self.supply(token))) or "-"

    @admin.display(description="see")
    def lists(self, token: Token) -> SafeString:
        balances = search_link("balances_balancerow", token.path, "its balances")
        transfers = search_link("balances_transferrow", token.path, "its transfers")
        return balances + SafeString(" · ") + transfers


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Ledger keys, the last one seen first."""

    list_display = ("address",)
    fields = ("address", "lists")
    ordering = ("-id",)
    search_help_text = "An address, to the letter."

    def find(self, rows: QuerySet[Account], term: str) -> QuerySet[Account]:
        return rows.filter(address=term)

    @admin.display(description="see")
    def lists(self, account: Account) -> SafeString:
        balances = search_link("balances_balancerow", account.address, "its balances")
        transfers = search_link("balances_transferrow", account.address, "its transfers")
        return balances + SafeString(" · ") + transfers


@admin.register(TransferRow)
class TransferAdmin(KeyedAdmin):
    """Transfers, newest first."""

    key_columns = ("block_height", "tx_index", "event_index")
    list_display = ("place", "kind", "units", "token", "sender", "recipient")
    list_select_related = ("token", "from_account", "to_account")
    fields = ("transaction", "event_index", "kind", "token", "from_account", "to_account", "units")
    ordering = ("-block_height", "-tx_index", "-event_index")
    search_help_text = (
        "A height, height-transaction, height-transaction-event, a transaction's hash, an address, "
        "or a token's id, key or realm."
    )

    def find(self, rows: QuerySet[TransferRow], term: str) -> QuerySet[TransferRow]:
        found = at_place(rows, term)
        if found is not None:
            return found
        account = Account.objects.filter(address=term).first()
        if account:
            return newest(rows, Q(from_account=account), Q(to_account=account))
        return newest(rows, *(Q(token=token) for token in tokens_of(term)))

    @admin.display(description="type")
    def kind(self, row: TransferRow) -> str:
        return row.type

    @admin.display(description="from")
    def sender(self, row: TransferRow) -> str:
        return row.from_account.address if row.from_account else ""

    @admin.display(description="to")
    def recipient(self, row: TransferRow) -> str:
        return row.to_account.address if row.to_account else ""

    @admin.display(description="amount")
    def units(self, row: TransferRow) -> int:
        return int(row.amount)

    @admin.display(description="transaction")
    def transaction(self, row: TransferRow) -> Any:
        return transaction_link(row.block_height, row.tx_index)


@admin.register(BalanceRow)
class BalanceAdmin(KeyedAdmin):
    """Balances; of one token, the largest first."""

    key_columns = ("token_id", "account_id")
    list_display = ("place", "units", "token", "holder")
    list_select_related = ("token", "account")
    fields = ("token", "account", "units")
    ordering = ("account_id", "token_id")
    search_help_text = "An address, or a token's id, key or realm."

    def find(self, rows: QuerySet[BalanceRow], term: str) -> QuerySet[BalanceRow]:
        account = Account.objects.filter(address=term).first()
        if account:
            return rows.filter(account=account).order_by("token_id")
        tokens = tokens_of(term)
        if len(tokens) == 1:
            return rows.filter(token=tokens[0]).order_by("-amount", "account_id")
        return rows.filter(token__in=tokens)

    @admin.display(description="amount")
    def units(self, row: BalanceRow) -> int:
        return int(row.amount)

    @admin.display(description="account")
    def holder(self, row: BalanceRow) -> str:
        return row.account.address


def totals_of(token: Token) -> TokenTotals:
    """The sums of a token's transfers; zeros for one that never moved."""
    try:
        return token.totals
    except TokenTotals.DoesNotExist:
        return TokenTotals(token=token, minted=0, burned=0, transfers=0, holders=0)


def tokens_of(term: str) -> list[Token]:
    """The tokens with this id or key, or of this realm."""
    return list(Token.objects.filter(spelled(term))[:TOKENS_OF_A_REALM])


def spelled(term: str) -> Q:
    """Whether a token may be meant by `term`, as in the API."""
    terms = [term, with_point(term) or term]
    found = Q(path__in=terms) | Q(key__in=terms) | Q(realm__in=terms)
    sub, past_sub = sub_realms(term)
    return found if sub is None else found | Q(path__gte=sub, path__lt=past_sub)


def newest(rows: QuerySet[Any], *sides: Q) -> QuerySet[Any]:
    """The newest of `rows` on any of `sides`: each read by its own index, in order, as far as is counted at all."""
    if not sides:
        return rows.none()
    parts = [rows.filter(side)[:COUNTED_ROWS] for side in sides]
    if len(parts) == 1:
        return rows.filter(sides[0])
    return parts[0].union(*parts[1:]).order_by(*rows.query.order_by)
