"""One synchronizer at a time: an advisory lock on the connection that writes, so losing one is losing both."""

from django.db import connection

_LOCK = 0x676E6F  # "gno"


def try_to_lead() -> bool:
    """Take the lock for as long as this connection lives; False when another synchronizer has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])
