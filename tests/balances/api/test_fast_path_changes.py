"""The fast path while blocks arrive, and while the database goes away."""

import time

import pytest
from django.core.signals import request_started
from django.db import close_old_connections, connection

from tests.balances.api.fast_path_parity import HISTORY, Both, ask
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

FOO = "gno.land/r/demo/defi/foo20.FOO.0000000"


@pytest.mark.django_db(transaction=True)
def test_every_step_of_the_index_is_seen(both: Both) -> None:
    recording = fill_database("gnotest-1", last=100)
    seen = [both.same(f"/tokens/{FOO}/balances")[0]]
    store_heights(recording, 201, 300)
    seen.append(both.same(f"/tokens/{FOO}/balances")[0])
    apply_pending()
    seen.append(both.same(f"/tokens/{FOO}/balances")[0])
    assert len({answer["ETag"] for answer in seen}) == len(seen)


def test_an_empty_database_is_left_to_django(both: Both) -> None:
    answer, alone = both.same(HISTORY)
    assert (answer.status, alone) == ("200 OK", False)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_broke_costs_nobody_an_answer(both: Both) -> None:
    request_started.connect(close_old_connections)
    fill_database("gnotest-1", last=100)
    before, alone = both.same(HISTORY)
    assert alone
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [process])
    other.close()
    both.passed_on = 0
    assert ask(both.express, HISTORY, {}) == before
    assert both.passed_on == 1, "Django found that the connection was gone, and made another"
    assert ask(both.express, HISTORY, {}) == before
    assert both.passed_on == 1


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_too_old_or_of_a_pool_is_given_back(both: Both) -> None:
    fill_database("gnotest-1", last=100)
    _, alone = both.same(HISTORY)
    assert alone
    connection.close_at = time.monotonic()
    both.passed_on = 0
    assert ask(both.express, HISTORY, {}).status == "200 OK"
    assert connection.connection is None
    assert ask(both.express, HISTORY, {}).status == "200 OK"
    assert both.passed_on == 0
