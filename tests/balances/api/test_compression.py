"""Answers by gzip: for those who accept it, of the API alone, and without harm to ETags and streams."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory

from balances.api.middleware.compression import LEAST_BYTES, compressed
from replay.recording import Recording
from tests.balances.api.client import LISTS

pytestmark = [pytest.mark.api]

GZIP = {"Accept-Encoding": "br, gzip;q=0.8"}


def answer(response: Any, accepted: str = "gzip") -> Any:
    """What the middleware makes of `response`."""
    return compressed(lambda _: response)(RequestFactory().get("/", headers={"Accept-Encoding": accepted}))


@pytest.mark.django_db
@pytest.mark.db
@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_compressed_and_is_the_same(gnotest: Recording, client: Client, path: str) -> None:
    plain, packed = client.get(path), client.get(path, headers=GZIP)
    assert packed["Content-Encoding"] == "gzip"
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content) / 2
    assert gzip.decompress(packed.content) == plain.content
    assert packed["ETag"] == plain["ETag"], "weak: the same content, not the same bytes"
    unchanged = client.get(path, headers=GZIP | {"If-None-Match": packed["ETag"]})
    assert (unchanged.status_code, unchanged.content, unchanged["ETag"]) == (304, b"", packed["ETag"])
    for response in (plain, packed, unchanged):
        assert {"Accept", "Accept-Encoding"} <= {each.strip() for each in response["Vary"].split(",")}


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip", True),
        ("deflate, gzip, br", True),
        ("GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("gzip;q=0.001", True),
        ("br", False),
        ("notgzipped", False),
        ("", False),
    ],
)
def test_only_those_who_accept_it(accepted: str, expected: bool) -> None:
    response = answer(HttpResponse(b" " * LEAST_BYTES, content_type="application/json"), accepted)
    assert (response.get("Content-Encoding") == "gzip") is expected


def test_short_answers_and_pages_and_what_is_compressed_stay_as_they_are() -> None:
    for response in (
        HttpResponse(b" " * (LEAST_BYTES - 1), content_type="application/json"),
        HttpResponse(b" " * LEAST_BYTES, content_type="text/html; charset=utf-8"),  # a CSRF token may be in it: BREACH
        HttpResponse(b" " * LEAST_BYTES, content_type="image/png"),
    ):
        assert answer(response) is response
        assert not response.has_header("Content-Encoding")
        assert response.content.isspace()
    packed = HttpResponse(b" " * LEAST_BYTES, content_type="text/csv", headers={"Content-Encoding": "br"})
    assert answer(packed)["Content-Encoding"] == "br"


def test_a_stream_is_compressed_as_it_comes() -> None:
    """A part is asked for only when those before it went into the answer: memory does not grow with the stream."""
    asked = 0

    def parts() -> Iterator[bytes]:
        nonlocal asked
        for number in range(10_000):
            asked = number
            yield f"{number * 7919}\n".encode()

    response = answer(StreamingHttpResponse(parts(), content_type="text/csv"))
    assert response["Content-Encoding"] == "gzip"
    stream = iter(response.streaming_content)
    first = next(stream) + next(stream)
    assert asked < 9_000
    text = gzip.decompress(first + b"".join(stream)).decode()
    assert text.splitlines() == [str(number * 7919) for number in range(10_000)]


def test_events_are_sent_as_they_come() -> None:
    response = answer(StreamingHttpResponse(iter([b"data: 1\n\n"]), content_type="text/event-stream"))
    assert not response.has_header("Content-Encoding")
    assert list(response.streaming_content) == [b"data: 1\n\n"]


def test_a_stream_that_breaks_is_no_whole_archive() -> None:
    def parts() -> Iterator[bytes]:
        yield b"a"
        raise RuntimeError

    got: list[bytes] = []
    with pytest.raises(RuntimeError):
        got.extend(answer(StreamingHttpResponse(parts(), content_type="text/csv")).streaming_content)
    with pytest.raises(EOFError):
        gzip.decompress(b"".join(got))
