"""The admin: lists, searches and pages over a recorded chain: read-only, by indexes, safe with hostile strings."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoDbBlocker

from balances.models import Account, BalanceRow, Token, TransferRow
from blocks.models import AcceptedGap, Block, Chain, EndpointState, IncompleteRange, SynchronizerState, TransactionRow
from blocks.readonly_admin import BoundedPaginator
from events.models import OutboxMessage, RefusedEvent, SetAsideMessage
from replay.recording import Recording
from tests.chains import fill_database

pytestmark = [pytest.mark.django_db, pytest.mark.db]

MODELS = (
    AcceptedGap,
    Account,
    BalanceRow,
    Block,
    Chain,
    EndpointState,
    IncompleteRange,
    SynchronizerState,
    OutboxMessage,
    RefusedEvent,
    SetAsideMessage,
    Token,
    TransactionRow,
    TransferRow,
)
FOO = "gno.land/r/demo/defi/foo20.FOO.0000000"
FACTORY = "gno.land/r/demo/defi/grc20factory"
HOSTILE = (
    "\x00",
    "<script>alert(1)</script>",
    "a" * 10_000,
    "%",
    "'; --",
    "9" * 40,
    "1-2-3-4",
    "9" * 18 + "-1",
)


@pytest.fixture(scope="module")
def chain(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Recording]:
    with django_db_blocker.unblock():
        around = transaction.atomic()
        around._from_testcase = True  # type: ignore[attr-defined]  # as Django's TestCase does: durable blocks may nest
        with around:
            recording = fill_database("gnotest-1")
            AcceptedGap.objects.create(first_height=900, last_height=901, reason="<b>lost</b>")
            IncompleteRange.objects.create(
                first_height=900, last_height=900, reason="no", attempts=5, asked_at="2026-01-01T00:00:00Z"
            )
            EndpointState.objects.create(url="http://a/", tip=-1, trouble="<b>", seen_at="2026-01-01T00:00:00Z")
            SynchronizerState.objects.create(
                name="a:1", leads=True, since="2026-01-01T00:00Z", seen_at="2026-01-01T00:00Z"
            )
            SetAsideMessage.objects.create(queue_message_id="m-1", outbox_id=7, body="\u2028{", reason="<b>no</b>")
            yield recording
            transaction.set_rollback(True)


@pytest.fixture
def admin(admin_client: Client) -> Client:
    return admin_client


def list_of(model: Any, **query: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist", query=query)


def page_of(model: Any, key: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key])


def found(admin: Client, model: Any, term: str, **query: str) -> list[Any]:
    response = admin.get(list_of(model, q=term, **query))
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_every_model_of_the_project_is_there() -> None:
    registered = {
        model for model in site._registry if model.__module__.split(".")[0] in ("balances", "blocks", "events")
    }
    assert registered == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_pages_show_what_is_stored(chain: Recording, admin: Client, model: Any) -> None:
    response = admin.get(list_of(model))
    assert response.status_code == 200
    rows = response.context["cl"].result_list
    assert rows
    for row in (rows[0], rows[len(rows) - 1]):
        page = admin.get(page_of(model, row.pk))
        assert page.status_code == 200
        assert b'name="_save"' not in page.content


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted(chain: Recording, admin: Client, model: Any) -> None:
    name, key = f"admin:{model._meta.app_label}_{model._meta.model_name}", model.objects.first().pk
    assert admin.get(reverse(f"{name}_add")).status_code == 403
    assert admin.post(page_of(model, key), {}).status_code == 403
    assert admin.post(reverse(f"{name}_delete", args=[key]), {"post": "yes"}).status_code == 403
    admin.post(list_of(model), {"action": "delete_selected", "_selected_action": [key]})
    assert model.objects.filter(pk=key).exists()


@pytest.mark.parametrize("model", MODELS)
def test_only_superusers_see_it(chain: Recording, client: Client, django_user_model: Any, model: Any) -> None:
    assert client.get(list_of(model)).status_code == 302
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    assert client.get(list_of(model)).status_code == 403


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("term", HOSTILE)
def test_hostile_terms_and_keys_find_nothing_and_break_nothing(
    chain: Recording, admin: Client, model: Any, term: str
) -> None:
    response = admin.get(list_of(model, q=term))
    assert response.status_code == 200
    assert b"<script>alert" not in response.content
    assert admin.get(page_of(model, term)).status_code == 302, "back to the index: there is no such row"


@pytest.mark.parametrize("model", MODELS)
def test_the_url_cannot_filter_or_sort_by_any_column(chain: Recording, admin: Client, model: Any) -> None:
    column = model._meta.fields[1].name
    assert admin.get(list_of(model, **{f"{column}__isnull": "False"})).status_code == 400
    if model is not Chain:
        plain, sorted_by = admin.get(list_of(model)), admin.get(list_of(model, o="-2.3"))
        assert order_of(sorted_by) == order_of(plain)


def order_of(response: Any) -> Any:
    return tuple(dict.fromkeys(response.context["cl"].queryset.query.order_by))


@pytest.mark.parametrize("model", [model for model in MODELS if model is not Chain])
def test_lists_are_in_the_order_of_an_index(chain: Recording, admin: Client, model: Any) -> None:
    """Nothing is appended to the ordering, and the plan, with indexes preferred, needs no sort and no whole table."""
    response = admin.get(list_of(model))
    assert order_of(response) == site._registry[model].ordering
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        plan = response.context["cl"].queryset[:100].explain()
        cursor.execute("SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on")
    assert "Sort" not in plan, plan
    assert "Index" in plan


@pytest.mark.parametrize("model", MODELS)
def test_lists_cost_few_queries_and_never_count_everything(
    chain: Recording, admin: Client, model: Any, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_max_num_queries(8) as captured:
        admin.get(list_of(model))
    counts = [query["sql"] for query in captured.captured_queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 10000" in count for count in counts)


def test_a_count_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    Account.objects.bulk_create(Account(address=f"account-{number}") for number in range(30))
    monkeypatch.setattr("blocks.readonly_admin.COUNTED_ROWS", 20)
    assert BoundedPaginator(Account.objects.order_by("-id"), 7).count == 20


def test_a_list_that_was_not_counted_to_its_end_says_so(
    chain: Recording, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert b"of more" not in admin.get(list_of(Block)).content
    monkeypatch.setattr("blocks.readonly_admin.COUNTED_ROWS", 200)
    page = admin.get(list_of(Block)).content.decode()
    assert "Blocks: the first 200 of more" in page


def test_blocks_by_height_and_hash(chain: Recording, admin: Client) -> None:
    block = next(block for block in chain.blocks if block["height"] == 133)
    as_hex = base64.b64decode(block["hash"]).hex()
    for term in ("133", block["hash"], as_hex, "0x" + as_hex.upper(), f" {block['hash']} "):
        assert [row.height for row in found(admin, Block, term)] == [133]
    page = admin.get(page_of(Block, 133)).content.decode()
    assert list_of(TransactionRow, q="133").replace("&", "&amp;") in page


def test_transactions_by_height_position_and_hash(chain: Recording, admin: Client) -> None:
    assert len(found(admin, TransactionRow, "133")) == 64
    assert [row.key for row in found(admin, TransactionRow, "133-5")] == ["133-5"]
    one = next(row for row in chain.transactions if (row["block_height"], row["index"]) == (133, 5))
    assert [row.key for row in found(admin, TransactionRow, one["hash"])] == ["133-5"]
    page = admin.get(page_of(TransactionRow, "133-5"))
    assert one["hash"] in page.content.decode()
    assert "MsgCall" in page.content.decode()
    assert page_of(Block, 133) in page.content.decode()


def test_the_list_of_transactions_leaves_their_events_where_they_are(chain: Recording, admin: Client) -> None:
    with CaptureQueriesContext(connection) as captured:
        admin.get(list_of(TransactionRow))
    (rows,) = (q["sql"] for q in captured.captured_queries if "LIMIT 100" in q["sql"] and "COUNT(" not in q["sql"])
    assert '"events"' not in rows
    assert '"messages"' not in rows


def test_transfers_by_height_position_hash_address_and_token(chain: Recording, admin: Client) -> None:
    newest = found(admin, TransferRow, "")[0]
    assert newest.block_height == 240
    assert {row.block_height for row in found(admin, TransferRow, "133")} == {133}
    assert [row.key for row in found(admin, TransferRow, newest.key)] == [newest.key]
    block, tx, _ = newest.key.split("-")
    assert newest.key in [row.key for row in found(admin, TransferRow, f"{block}-{tx}")]
    name = TransactionRow.objects.get(block_height=block, index=tx).hash
    assert newest.key in [row.key for row in found(admin, TransferRow, name)]
    assert {row.token.path for row in found(admin, TransferRow, FOO)} == {FOO}
    assert len({row.token.path for row in found(admin, TransferRow, FACTORY)}) > 1
    address = "g100qwkhfyhl7q74x3xa3x48t0egut6048feywnz"
    rows = found(admin, TransferRow, address)
    account = Account.objects.get(address=address)
    assert all(account in (row.from_account, row.to_account) for row in rows)
    assert [row.block_height for row in rows] == sorted((row.block_height for row in rows), reverse=True)
    assert {row.from_account == account for row in rows} == {True, False}
    page = admin.get(page_of(TransferRow, newest.key)).content.decode()
    assert page_of(TransactionRow, f"{block}-{tx}") in page


def test_transfers_of_an_address_are_read_along_the_indexes_by_account(chain: Recording, admin: Client) -> None:
    response = admin.get(list_of(TransferRow), {"q": "g100qwkhfyhl7q74x3xa3x48t0egut6048feywnz"})
    with connection.cursor() as cursor:
        # Of a small table the planner may as well read the primary key.
        cursor.execute(
            "INSERT INTO transfers (block_height, tx_index, event_index, token_id, to_account_id, amount)"
            " SELECT 1000 + n, 0, 0, 1, 1000000 + n, 1 FROM generate_series(1, 20000) AS n; ANALYZE transfers"
        )
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = response.context["cl"].queryset[:100].explain()
        cursor.execute("SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on")
    for side in ("from", "to"):
        assert f"Backward using transfer_{side} on transfers" in plan, plan


def test_pages_of_a_search_over_two_sides(chain: Recording, admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(site._registry[TransferRow]), "list_per_page", 10)
    address = "g100qwkhfyhl7q74x3xa3x48t0egut6048feywnz"
    first, second = found(admin, TransferRow, address, p="1"), found(admin, TransferRow, address, p="2")
    assert len(first) == 10
    assert not {row.key for row in first} & {row.key for row in second}


def test_balances_by_token_largest_first_and_by_address(chain: Recording, admin: Client) -> None:
    rows = found(admin, BalanceRow, FOO)
    assert [row.amount for row in rows] == sorted((row.amount for row in rows), reverse=True)
    upper = "G1YZ66F8S6PLQ4UUL0PA3MT0LVJSWS5D4JU5XMMX"
    assert [(row.token.path, row.amount) for row in found(admin, BalanceRow, upper)] == [(FOO, 17)]
    assert len({row.token_id for row in found(admin, BalanceRow, FACTORY)}) > 1
    assert admin.get(page_of(BalanceRow, rows[0].key)).status_code == 200


def test_tokens_by_id_key_realm_and_symbol_with_their_flags(chain: Recording, admin: Client) -> None:
    for term in (FOO, "gno.land/r/demo/defi/foo20.FOO", "gno.land/r/demo/defi/foo20", "FOO"):
        assert FOO in [token.path for token in found(admin, Token, term)]
    assert len(found(admin, Token, "perun")) == 1, "case matters"
    twin = Token.objects.get(announcements=2)
    assert b"duplicate id" in admin.get(list_of(Token)).content
    page = admin.get(page_of(Token, twin.pk)).content.decode()
    assert "duplicate id" in page
    assert page.count("5005777") >= 1
    never_minted = Token.objects.get(symbol="EMPTY")
    assert admin.get(page_of(Token, never_minted.pk)).status_code == 200


def test_refused_events_by_reason_height_and_transaction(chain: Recording, admin: Client) -> None:
    rows = list(admin.get(list_of(RefusedEvent, reason="foreign_emitter")).context["cl"].result_list)
    assert rows
    assert {row.reason for row in rows} == {"foreign_emitter"}
    assert rows[0] in found(admin, RefusedEvent, str(rows[0].block_height))
    name = TransactionRow.objects.get(block_height=rows[0].block_height, index=rows[0].tx_index).hash
    assert rows[0] in found(admin, RefusedEvent, name)
    for row in RefusedEvent.objects.all():
        assert admin.get(page_of(RefusedEvent, row.pk)).status_code == 200


def test_strings_that_are_no_text_are_shown_as_escapes(chain: Recording, admin: Client) -> None:
    row = RefusedEvent.objects.create(
        block_height=9000,
        tx_index=0,
        event_index=0,
        emitter="<script>alert(1)</script>",
        type="Transfer",
        attributes=[["a\x00b", "\ud800"], ["<script>alert(1)</script>", "ü"]],
        reason="foreign_emitter",
        detail="",
    )
    page = admin.get(page_of(RefusedEvent, row.pk)).content.decode()
    assert "<script>alert" not in page
    assert r"a\u0000b" in page
    assert r"\ud800" in page
    assert "ü" in page


def test_messages_by_height_and_state(chain: Recording, admin: Client) -> None:
    rows = found(admin, OutboxMessage, "133")
    assert rows
    assert all(row.first_height <= 133 <= row.last_height for row in rows)
    assert found(admin, OutboxMessage, "", state="waiting") == []
    OutboxMessage.objects.filter(pk=rows[0].pk).update(applied_at=None)
    assert found(admin, OutboxMessage, "", state="waiting") == [rows[0]]
    assert found(admin, OutboxMessage, "", state="aside") == []
    assert [row.outbox_id for row in found(admin, SetAsideMessage, "7")] == [7]
    assert [row.outbox_id for row in found(admin, SetAsideMessage, "m-1")] == [7]


def test_coverage_is_shown_as_ranges(chain: Recording, admin: Client) -> None:
    Chain.objects.update(coverage=[(0, 120), (200, 485)])
    for url in (list_of(Chain), page_of(Chain, 1)):
        page = admin.get(url).content.decode()
        assert "0 to 120" in page
        assert "200 to 485" in page


def test_the_site_says_what_it_is(chain: Recording, admin: Client) -> None:
    assert b"gno.land token indexer" in admin.get(reverse("admin:index")).content


# Dead letters: the one place where a person decides


def letter_to(admin: Client, action: str, row: SetAsideMessage, **fields: str) -> str:
    chosen = {"action": action, "_selected_action": str(row.pk)} | fields
    return admin.post(list_of(SetAsideMessage), chosen, follow=True).content.decode()


def test_a_dead_letter_is_redriven_and_its_row_waits_again(chain: Recording, admin: Client) -> None:
    waiting = OutboxMessage.objects.order_by("id")[0]
    OutboxMessage.objects.filter(pk=waiting.pk).update(applied_at=None, set_aside_at="2026-01-01T00:00:00Z")
    row = SetAsideMessage.objects.create(queue_message_id="m-2", outbox_id=waiting.pk, body="{}", reason="version 2")
    assert "dead" in admin.get(page_of(SetAsideMessage, row.pk)).content.decode()
    assert "is not applied" in letter_to(admin, "discard", row, reason="away with it")
    assert SetAsideMessage.objects.get(pk=row.pk).discarded_at is None
    assert "1 messages are tried again" in letter_to(admin, "redrive", row)
    assert OutboxMessage.objects.filter(pk=waiting.pk, set_aside_at=None, applied_at=None).exists()
    assert "redriven" in admin.get(list_of(SetAsideMessage)).content.decode()


def test_a_letter_that_is_no_copy_is_discarded_with_a_reason(chain: Recording, admin: Client) -> None:
    row = SetAsideMessage.objects.create(queue_message_id="m-3", body="garbage", reason="not a message")
    assert "A reason is needed" in letter_to(admin, "discard", row)
    assert "1 messages are discarded" in letter_to(admin, "discard", row, reason="<b>noise</b>")
    page = admin.get(page_of(SetAsideMessage, row.pk)).content.decode()
    assert "&lt;b&gt;noise" in page
    assert "discarded" in page


def test_only_superusers_decide(chain: Recording, client: Client, django_user_model: Any) -> None:
    row = SetAsideMessage.objects.create(queue_message_id="m-4", body="garbage", reason="not a message")
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    letter_to(client, "discard", row, reason="no right to")
    assert SetAsideMessage.objects.get(pk=row.pk).discarded_at is None
