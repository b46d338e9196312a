"""What an error of boto3 means for the caller: wait, use a new session, send less, or look the queue up again."""

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NotConnected

from events.queues.base import QueueUnavailable

MISSING_CODES = {"NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"}
REFUSED_CODES = {
    "413",
    "BatchRequestTooLong",
    "InvalidAttributeValue",
    "InvalidBatchEntryId",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "MessageTooLong",
    "MissingParameter",
    "MissingRequiredParameter",
    "RequestEntityTooLarge",
    "TooManyEntriesInBatchRequest",
    "ValidationError",
}

# AWS, its STS, and servers that speak its API have dozens of codes for keys that are refused, and go on inventing them.
_CREDENTIALS = re.compile(
    r"token|credential|signature|security|access_?key|access_?denied|auth|expired|skewed|unrecognizedclient|optin"
    r"|identity|forbidden|verification|idp",
    re.IGNORECASE,
)
_CREDENTIALS_STATUS = (401, 403)
_BUSY = re.compile(
    r"thrott|overlimit|toomanyrequests|slowdown|unavailable|internal|timeout|limitexceeded", re.IGNORECASE
)
_BUSY_STATUS = (429, 500, 502, 503, 504)

_NO_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run under a role."


class QueueBusy(QueueUnavailable):
    """The server is overloaded, restarting or not reachable: the same call may succeed in a moment."""


class CredentialsRejected(QueueUnavailable):
    """The credentials are absent, expired, rotated or without the right: a new session may have better ones."""


class QueueMissing(QueueUnavailable):
    """There is no such queue."""


class RequestRefused(QueueUnavailable):
    """The server does not take this request, however often it is sent. `code` and `reason` as it gave them."""

    def __init__(self, text: str, code: str, reason: str) -> None:
        super().__init__(text)
        self.code = code
        self.reason = reason


def short_code(code: str) -> str:
    """An error code without the prefix and the suffix that only some of SQS's protocols have."""
    return code.rsplit(".", 1)[-1].removesuffix("Exception")


def is_credentials(code: str) -> bool:
    """Whether a server that answers with `code` objects to the credentials."""
    return bool(_CREDENTIALS.search(code)) and not _BUSY.search(code)


def explain(action: str, error: Exception) -> QueueUnavailable:
    """The error to raise in place of `error`, whatever a call of boto3 raised: `action` is what could not be done."""
    if isinstance(error, QueueUnavailable):
        return error
    if isinstance(error, ClientError):
        return _explain_answer(f"{action}: {error}", action, error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return CredentialsRejected(f"{action}: {error}. {_NO_CREDENTIALS}")
    if isinstance(error, HTTPClientError | NotConnected):
        return QueueBusy(f"{action}: {error}")
    # Whatever else is raised comes from before the request: a file of keys, a token, a profile, a metadata service.
    kind = "" if isinstance(error, BotoCoreError) else f"{type(error).__name__}: "
    return CredentialsRejected(f"{action}: {kind}{error}")


def _explain_answer(text: str, action: str, error: ClientError) -> QueueUnavailable:
    details = error.response.get("Error", {})
    code = short_code(str(details.get("Code", "")))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in MISSING_CODES:
        return QueueMissing(f"{action}: there is no such queue")
    if code in REFUSED_CODES:
        return RequestRefused(text, code, str(details.get("Message", "")))
    if _BUSY.search(code) or status in _BUSY_STATUS:
        return QueueBusy(text)
    if is_credentials(code) or status in _CREDENTIALS_STATUS:
        return CredentialsRejected(text)
    return QueueUnavailable(text)
