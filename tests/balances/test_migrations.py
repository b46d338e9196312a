"""A database of the version before migrates in place, and nothing is lost."""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from balances.models import Balance, BalanceRow, Transfer, TransferRow

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]

BEFORE = [("balances", "0008_token_listing")]
ROWS = """
INSERT INTO tokens (id, path, realm, key, standard) VALUES (1, 'r.A.1', 'r', 'r.A', true);
INSERT INTO accounts (id, address) VALUES (1, 'g1b'), (2, 'g1a'), (3, 'g1c');
INSERT INTO transfer_segments (first_height, bytes_before) VALUES (5, 100);
INSERT INTO transfers (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount, segment)
    VALUES (1, 0, 0, 1, NULL, 1, 10, 0), (2, 0, 0, 1, NULL, 2, 7, 0), (6, 0, 0, 1, 1, 3, 3, 5);
INSERT INTO balances (token_id, account_id, amount, transfers, ranked_amount, address)
    VALUES (1, 1, 7, 2, NULL, NULL), (1, 2, 7, 1, 7, 'g1a'), (1, 3, 3, 1, 3, 'g1c');
INSERT INTO ranking (id, state, indexed_height, passed_at) VALUES (1, 'behind', 2, now())
"""


def test_segments_and_the_ranking_of_holders_go_and_every_transfer_and_balance_stays() -> None:
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    MigrationExecutor(connection).migrate(BEFORE)
    try:
        with connection.cursor() as cursor:
            cursor.execute(ROWS)
    finally:
        MigrationExecutor(connection).migrate(latest)
    transfers: list[Any] = sorted(
        Transfer.objects.values_list("block_height", "from_account_id", "to_account_id", "amount")
    )
    assert transfers == [
        (1, None, 1, 10),
        (2, None, 2, 7),
        (6, 1, 3, 3),
    ]
    holders = Balance.objects.filter(token_id=1).order_by("-amount", "account_id")
    balances: list[Any] = list(holders.values_list("account_id", "amount", "transfers"))
    assert balances == [(1, 7, 2), (2, 7, 1), (3, 3, 1)]
    assert TransferRow.objects.count() == BalanceRow.objects.count() == 3


def test_migrating_back_keeps_every_transfer_and_ranks_every_balance() -> None:
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    try:
        MigrationExecutor(connection).migrate(BEFORE)
        with connection.cursor() as cursor:
            cursor.execute(ROWS)
        MigrationExecutor(connection).migrate(latest)
        MigrationExecutor(connection).migrate(BEFORE)
        with connection.cursor() as cursor:
            cursor.execute("SELECT block_height, amount, segment FROM transfers ORDER BY block_height")
            assert cursor.fetchall() == [(1, 10, 0), (2, 7, 0), (6, 3, 0)]
            cursor.execute("SELECT account_id, ranked_amount, address FROM balances ORDER BY account_id")
            assert cursor.fetchall() == [(1, 7, "g1b"), (2, 7, "g1a"), (3, 3, "g1c")]
            cursor.execute("SELECT count(*) FROM ranking")
            assert cursor.fetchone() == (0,)
    finally:
        MigrationExecutor(connection).migrate(latest)
