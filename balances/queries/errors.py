"""Why a request is refused: raised by whoever finds it, answered by `balances.api.responses.problems`.

It imports nothing that has views: Django REST framework itself imports the renderers, which refuse too.
"""

from http import HTTPStatus

from psycopg_pool import PoolTimeout
from rest_framework.exceptions import APIException

from balances.readiness import with_way_out

RETRY_SECONDS = 5


class BadParameter(APIException):
    """A parameter that cannot be understood: which one, what was given, and what is allowed."""

    status_code = HTTPStatus.BAD_REQUEST

    def __init__(self, parameter: str, wrong: str, allowed: str) -> None:
        super().__init__(f"{parameter}: {wrong}. {allowed}.")
        self.members: dict[str, object] = {"parameter": parameter}


class HeightNotReached(APIException):
    """The client wants to see a height that is not indexed, and the time to wait for it is over."""

    status_code = HTTPStatus.CONFLICT
    wait = 1

    def __init__(self, wanted: int, indexed: int) -> None:
        super().__init__(
            f"minHeight: {wanted} is not indexed yet; {indexed} is. Wait longer by Prefer: wait=…, or ask again."
        )
        self.members: dict[str, object] = {"parameter": "minHeight", "indexedHeight": indexed}


class NotIndexed(APIException):
    """What is asked for is above the indexed height, where balances may still change."""

    status_code = HTTPStatus.CONFLICT
    wait = 1

    def __init__(self, parameter: str, wanted: str, indexed: int) -> None:
        super().__init__(f"{parameter}: {wanted} is not indexed yet; height {indexed} is. Wait for it by minHeight.")
        self.members: dict[str, object] = {"parameter": parameter, "indexedHeight": indexed}


class NotStored(APIException):
    """What was asked for by its name is not stored, or not yet; the text says how far the index is."""

    status_code = HTTPStatus.NOT_FOUND

    def __init__(self, detail: str, indexed: int) -> None:
        super().__init__(detail)
        self.members: dict[str, object] = {"indexedHeight": indexed}


class NotReady(APIException):
    """The index is not fit to answer from; the text says why."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    wait = RETRY_SECONDS

    def __init__(self, detail: str, indexed: int) -> None:
        super().__init__(detail)
        self.members: dict[str, object] = {"indexedHeight": indexed}


class ChainContradicted(NotReady):
    """Two blocks that are stored do not link, so rows of two chains may be mixed in any answer; the text names them."""

    def __init__(self, conflict: str, indexed: int) -> None:
        super().__init__(with_way_out(conflict), indexed)


class TooManyExports(APIException):
    """This process already sends as many exports as it may at a time."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "As many whole lists are being sent as can be at a time. Try again, or ask for pages, by limit."
    wait = RETRY_SECONDS


class DatabaseUnavailable(APIException):
    """The database does not answer, or refuses the query for now."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database does not answer. Nothing is lost; try again."
    wait = RETRY_SECONDS


class DatabaseBusy(DatabaseUnavailable):
    default_detail = "No connection to the database came free in time. Nothing is lost; try again."


class StatementTooSlow(DatabaseUnavailable):
    default_detail = (
        "The database needed longer than one statement may take here, and was stopped. Ask for less at a time, by "
        "limit or by narrower filters, or try again."
    )


class ReplicaChanged(DatabaseUnavailable):
    default_detail = "The replica of the database had to replace what was being read. Nothing is lost; try again."


_BY_SQLSTATE = {
    "40001": ReplicaChanged,  # serialization_failure: on a replica, "canceling statement due to conflict with recovery"
    "53300": DatabaseBusy,  # too_many_connections
    "57014": StatementTooSlow,  # query_canceled
}


def database_refusal(error: BaseException) -> DatabaseUnavailable:
    """What a client is told when the database failed with `error`, one of Django's."""
    cause = error.__cause__
    if isinstance(cause, PoolTimeout):
        return DatabaseBusy()
    return _BY_SQLSTATE.get(getattr(cause, "sqlstate", None) or "", DatabaseUnavailable)()


def shown(value: str) -> str:
    """What a client sent, for an error text: quoted, escaped, and cut when it is long."""
    return ascii(value) if len(value) <= 80 else f"{value[:80]!a}…"
