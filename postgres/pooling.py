"""Whether Django's connection is a session of the server's, or a pooler gives each transaction to another one."""

from django.db import Error, connection

from postgres.connections import connect

STATEMENT_POOLING = "not allowed in statement pooling mode"
"""In the words of PgBouncer, which refuses to begin a transaction then."""

_TRIES = 5


class TransactionPooling(Exception):
    """A pooler in transaction mode is between: what a session holds is held by whoever comes next."""

    def __init__(self, message: str = "DATABASE_URL leads to a pooler in transaction mode") -> None:
        super().__init__(message)


def require_session() -> None:
    """Raise `TransactionPooling` when it is certain. Raises Django's `OperationalError`.

    A server that is reached directly tells its process with the connection. Behind a pooler, two connections that are
    open at a time never share a process of the server's, and never change it, unless transactions are what it pools.
    """
    pid = _backend_pid()
    if pid == connection.connection.info.backend_pid:
        return
    try:
        with connection.wrap_database_errors, connect() as other:
            for _ in range(_TRIES):
                # It keeps the process that it gets until the transaction ends; so this connection cannot get that one.
                with other.transaction():
                    row = other.execute("SELECT pg_backend_pid()").fetchone()
                    if row == (pid,) or _backend_pid() != pid:
                        raise TransactionPooling
    except Error as error:
        if STATEMENT_POOLING in str(error):
            raise TransactionPooling("DATABASE_URL leads to a pooler in statement mode") from None
        raise


def _backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
        return pid
