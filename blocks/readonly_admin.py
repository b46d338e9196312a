"""Read-only admin pages for tables too large to count, sort or search without an index."""

import base64
import json
import re
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from blocks.models import TransactionRow
from postgres.text import is_storable, storable

COUNTED_ROWS = 10_000
SHOWN_CHARACTERS = 200_000
TRANSACTIONS_OF_HASH = 100
"""A hash is not unique on real chains; so many transactions of one hash are looked into."""

_HEIGHT = re.compile(r"[0-9]{1,18}", re.ASCII)
_POSITION = re.compile(r"[0-9]{1,18}(-[0-9]{1,9}){1,2}", re.ASCII)
_HASH = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)
_HEX_HASH = re.compile(r"(?:0x)?([0-9a-fA-F]{64})", re.ASCII)


class BoundedPaginator(Paginator[Any]):
    """Counts to `COUNTED_ROWS` and no further; what lies beyond is found by searching."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]  # the admin pages querysets only
        return rows.order_by()[:COUNTED_ROWS].count()


class FixedOrder(ChangeList):
    """A list in its own order: sorting a large table by a column of the reader's choice has no index."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.title = str(capfirst(self.opts.verbose_name_plural))
        if self.result_count >= COUNTED_ROWS:
            self.title += f": the first {COUNTED_ROWS:,} of more (search for what lies beyond)"

    def get_ordering_field(self, field_name: Any) -> None:
        return None


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Lists and pages to look at, for superusers. A subclass says how a search term is looked up: `find`."""

    actions = None
    paginator = BoundedPaginator
    show_full_result_count = False
    list_max_show_all = 0
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    # Only to show the box: what is searched is `find`'s affair.
    search_fields: ClassVar[tuple[str, ...]] = ("pk",)

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Those of `rows` that `term` names, by an index. Nothing, for a list without a search box."""
        return rows.none()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.find(queryset, term) if term else queryset), False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return super().get_object(request, object_id, from_field) if is_storable(object_id) else None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FixedOrder

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # Django lets the URL filter by any column; here only by those that a list filter has.
        allowed = [getattr(one, "parameter_name", one) for one in self.list_filter]
        return lookup.removesuffix("__exact") in allowed

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class KeyedAdmin(ReadOnlyAdmin):
    """Pages over a view whose `key` is put together from `key_columns`: looked up by these, which have the index."""

    key_columns: tuple[str, ...] = ()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        numbers = position(object_id)
        if numbers is None or len(numbers) != len(self.key_columns):
            return None
        return self.get_queryset(request).filter(**dict(zip(self.key_columns, numbers, strict=True))).first()

    @admin.display(description="key")
    def place(self, row: Any) -> SafeString:
        return unbroken(row.key)


def height(term: str) -> int | None:
    """The height that `term` is, when it is a number."""
    return int(term) if _HEIGHT.fullmatch(term) else None


def position(term: str) -> tuple[int, ...] | None:
    """The numbers of "height-transaction" or "height-transaction-event"; None when `term` is neither, or too large."""
    if not _POSITION.fullmatch(term):
        return None
    numbers = tuple(map(int, term.split("-")))
    return numbers if all(number < 2**31 for number in numbers[1:]) else None


def block_hash(term: str) -> str | None:
    """The hash that `term` is, as it is stored (base64); given so, or as 64 hexadecimal digits."""
    if _HASH.fullmatch(term):
        return term
    found = _HEX_HASH.fullmatch(term)
    return base64.b64encode(bytes.fromhex(found[1])).decode() if found else None


def at_place(rows: QuerySet[Any], term: str) -> QuerySet[Any] | None:
    """Those of `rows` (block_height, tx_index, event_index) at a height, a position, or in a transaction by its hash.

    None when `term` is none of these.
    """
    number, place, name = height(term), position(term), block_hash(term)
    if number is not None:
        return rows.filter(block_height=number)
    if place:
        return rows.filter(**dict(zip(("block_height", "tx_index", "event_index"), place, strict=False)))
    if not name:
        return None
    hashed = TransactionRow.objects.filter(hash=name).values_list("block_height", "index")
    anywhere = Q()
    for block_height, tx_index in hashed[:TRANSACTIONS_OF_HASH]:
        anywhere |= Q(block_height=block_height, tx_index=tx_index)
    return rows.filter(anywhere) if anywhere else rows.none()


def pretty_json(value: Any) -> SafeString:
    """A stored JSON value for a person: indented, escaped, and cut when it is very long."""
    text = storable(json.dumps(value, indent=2, ensure_ascii=False))
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[:SHOWN_CHARACTERS]}\n… ({len(text)} characters)"
    return format_html('<pre style="margin:0; white-space:pre-wrap; overflow-wrap:anywhere">{}</pre>', text)


def unbroken(text: str) -> SafeString:
    """Text on one line in a narrow column."""
    return format_html('<span style="white-space:nowrap">{}</span>', text)


def link(model: str, key: object, text: object) -> SafeString:
    """A link to the page of a row; `model` as "app_model"."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{model}_change", args=[key]), text)


def search_link(model: str, term: str, text: object) -> SafeString:
    """A link to a list with a search done."""
    url = reverse(f"admin:{model}_changelist", query={"q": term})
    return format_html('<a href="{}">{}</a>', url, text)
