"""What each error of SQS, of AWS's other services and of boto3 itself means for the caller."""

import subprocess
from typing import Any

import pytest
import urllib3
from botocore.exceptions import (
    ClientError,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    TokenRetrievalError,
)

from events.queues.base import QueueUnavailable
from events.queues.sqs import client
from events.queues.sqs.client import SqsConnection
from events.queues.sqs.errors import CredentialsRejected, QueueBusy, QueueMissing, RequestRefused, explain

URL = "http://sqs.example.org"


def answer(code: str, status: int = 400, operation: str = "SendMessageBatch") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


ERRORS: list[tuple[type[QueueUnavailable], list[Exception]]] = [
    (
        CredentialsRejected,
        [
            *map(
                answer,
                (
                    "ExpiredToken",
                    "ExpiredTokenException",
                    "InvalidClientTokenId",
                    "UnrecognizedClientException",
                    "SignatureDoesNotMatch",
                    "InvalidSignatureException",
                    "IncompleteSignature",
                    "AccessDenied",
                    "AccessDeniedException",
                    "InvalidAccessKeyId",
                    "AuthFailure",
                    "NotAuthorized",
                    "RequestExpired",
                    "RequestTimeTooSkewed",
                    "MissingAuthenticationToken",
                    "InvalidSecurity",
                    "OptInRequired",
                    "TokenRefreshRequired",
                    "KmsAccessDenied",
                    "AWS.SimpleQueueService.InvalidSecurity",
                ),
            ),
            answer("UnknownError", 403),
            answer("401", 401),
            answer("InvalidIdentityToken", 400, "AssumeRoleWithWebIdentity"),
            answer("IDPRejectedClaim", 403, "AssumeRoleWithWebIdentity"),
            NoCredentialsError(),
            PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            CredentialRetrievalError(provider="custom-process", error_msg="exit status 1"),
            TokenRetrievalError(provider="sso", error_msg="expired"),
            ProfileNotFound(profile="rotated"),
            ConfigParseError(path="/credentials"),
            FileNotFoundError(2, "No such file or directory", "/var/run/secrets/token"),
            subprocess.SubprocessError("credential_process"),
            KeyError("QueueUrl"),
        ],
    ),
    (
        QueueBusy,
        [
            answer("RequestThrottled", 403),
            answer("ThrottlingException"),
            answer("AWS.SimpleQueueService.OverLimit", 403),
            answer("KmsThrottled"),
            answer("ServiceUnavailable", 503),
            answer("InternalFailure", 500),
            answer("502", 502),
            EndpointConnectionError(endpoint_url=URL),
            ConnectTimeoutError(endpoint_url=URL),
            ReadTimeoutError(endpoint_url=URL),
            HTTPClientError(error=urllib3.exceptions.LocationParseError("x")),
        ],
    ),
    (
        QueueMissing,
        [answer("AWS.SimpleQueueService.NonExistentQueue"), answer("QueueDoesNotExist"), answer("InvalidAddress", 404)],
    ),
    (
        RequestRefused,
        [
            answer("AWS.SimpleQueueService.BatchRequestTooLong"),
            answer("InvalidParameterValue"),
            answer("InvalidMessageContents"),
            answer("413", 413),
        ],
    ),
    (
        QueueUnavailable,
        [answer("AWS.SimpleQueueService.QueueDeletedRecently"), answer("KmsDisabled"), answer("KmsInvalidState")],
    ),
]


@pytest.mark.parametrize(
    ("kind", "error"), [(kind, error) for kind, errors in ERRORS for error in errors], ids=lambda one: repr(one)[:90]
)
def test_an_error_is_of_the_kind_that_decides_what_is_done(kind: type[QueueUnavailable], error: Exception) -> None:
    explained = explain("SQS: cannot send to q", error)
    assert type(explained) is kind
    assert str(explained).startswith("SQS: cannot send to q")


class Client:
    def close(self) -> None:
        pass


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> SqsConnection:
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(client, "_open_client", lambda region: Client())
    return SqsConnection("")


def failing(*errors: Exception) -> Any:
    """An operation that raises these in turn and then says which clients it was given."""
    waiting, clients = list(errors), list[Any]()

    def operation(client: Any) -> list[Any]:
        clients.append(client)
        if waiting:
            raise waiting.pop(0)
        return clients

    return operation


def test_a_rejected_key_is_tried_again_once_with_a_new_session(connection: SqsConnection) -> None:
    first, second = connection.call("try", failing(answer("ExpiredToken")))
    assert first is not second
    with pytest.raises(CredentialsRejected):
        connection.call("try", failing(*[answer("ExpiredToken")] * 2))
    (third,) = connection.call("try", failing())
    assert third not in (first, second), "the next call has a new session, too"


def test_a_busy_server_is_tried_three_times_with_the_same_session(connection: SqsConnection) -> None:
    assert len(set(connection.call("try", failing(*[answer("InternalFailure", 500)] * 2)))) == 1
    with pytest.raises(QueueBusy):
        connection.call("try", failing(*[answer("InternalFailure", 500)] * 3))


def test_a_call_that_took_long_to_fail_is_not_tried_again(
    connection: SqsConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RETRY_SECONDS", -1.0)
    for error in (answer("ExpiredToken"), ReadTimeoutError(endpoint_url=URL)):
        with pytest.raises(QueueUnavailable):
            connection.call("try", failing(error))


@pytest.mark.parametrize("error", [RuntimeError("boom"), urllib3.exceptions.ProtocolError("reset"), AttributeError()])
def test_an_error_that_boto3_does_not_document_is_one_that_callers_wait_out(
    connection: SqsConnection, error: Exception
) -> None:
    with pytest.raises(QueueUnavailable, match=type(error).__name__):
        connection.call("try", failing(error, error))


def test_a_session_that_cannot_be_made_again_is_waited_for(
    connection: SqsConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(region: str) -> Client:
        raise QueueUnavailable("SQS cannot be set up: the file of credentials is being written")

    monkeypatch.setattr(client, "_open_client", broken)
    for _ in range(2):
        with pytest.raises(QueueUnavailable):
            connection.call("try", failing(answer("ExpiredToken")))
    monkeypatch.setattr(client, "_open_client", lambda region: Client())
    assert len(connection.call("try", failing())) == 1
