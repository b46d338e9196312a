"""Why a request is refused: raised by whoever finds it, answered by `balances.api.problems`.

It imports nothing that has views: Django REST framework itself imports the renderers, which refuse too.
"""

from http import HTTPStatus

from rest_framework.exceptions import APIException

RETRY_SECONDS = 5


class BadParameter(APIException):
    """A parameter that cannot be understood: which one, what was given, and what is allowed."""

    status_code = HTTPStatus.BAD_REQUEST

    def __init__(self, parameter: str, wrong: str, allowed: str) -> None:
        super().__init__(f"{parameter}: {wrong}. {allowed}.")
        self.parameter = parameter


class DatabaseAway(APIException):
    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database does not answer. Nothing is lost; try again."
    wait = RETRY_SECONDS


def shown(value: str) -> str:
    """What a client sent, for an error text: quoted, escaped, and cut when it is long."""
    return ascii(value) if len(value) <= 80 else f"{value[:80]!a}…"
