"""The API with and without the fast path, asked the same."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit

from django.core.handlers.wsgi import WSGIHandler
from hypothesis import given, settings
from hypothesis import strategies as st

from balances.api import fast_path
from balances.api.fast_path import Environ, FastPath
from balances.models import Account, Token

HISTORY = "/tokens/transfer-history"


@dataclass(frozen=True)
class Answer:
    status: str
    headers: tuple[tuple[str, str], ...]
    content: bytes

    def __getitem__(self, name: str) -> str:
        return dict(self.headers)[name]


def ask(application: fast_path.Application, url: str, headers: dict[str, str], method: str = "GET") -> Answer:
    """The answer of a WSGI application."""
    parts = urlsplit(url)
    environ: Environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "testserver",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
    environ["SCRIPT_NAME"] = environ.pop("HTTP_SCRIPT_NAME", "")  # a server's word, and no client's
    said: list[Any] = []
    content = application(environ, lambda *given: said.append(given))
    try:
        body = b"".join(content)
    finally:
        getattr(content, "close", lambda: None)()
    ((status, given_headers),) = said
    return Answer(status, tuple(sorted(given_headers)), body)


class Both:
    """The API with and without the fast path."""

    def __init__(self) -> None:
        self.django = WSGIHandler()
        self.express = FastPath(self._counted)
        self.passed_on = 0

    def _counted(self, environ: Environ, start_response: fast_path.StartResponse) -> Iterable[bytes]:
        self.passed_on += 1
        return self.django(environ, start_response)

    def same(self, url: str, method: str = "GET", **headers: str) -> tuple[Answer, bool]:
        """What both answer, and whether the fast path did so by itself."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.passed_on = 0
        for _ in range(3):
            answer = ask(self.express, url, headers, method)
            other = ask(self.django, url, headers, method)
            if answer == other:
                break
            # Of an index with gaps any transaction makes a new version, also of others on a server by DATABASE_URL.
        assert answer == other
        return answer, not self.passed_on


def check_pages(both: Both, url: str | None) -> None:
    """The first pages of a list, all by the fast path."""
    pages = 0
    while url is not None and pages < 4:
        answer, alone = both.same(url)
        assert alone, url
        assert answer.status == "200 OK"
        url, pages = json.loads(answer.content)["next"], pages + 1


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=12)


def questions(addresses: list[str], tokens: list[str]) -> st.SearchStrategy[str]:
    """URLs of the lists, mostly sensible."""
    address = st.sampled_from([*addresses, addresses[0][:-1], "", ",".join(addresses[:2])])
    token = st.one_of(st.sampled_from(tokens), TEXT.map(lambda text: quote(text, safe="")))
    path = st.one_of(
        st.sampled_from(["/tokens/balances", HISTORY, HISTORY + "/"]),
        token.map(lambda each: f"/tokens/{each}/balances"),
        token.map(lambda each: f"/tokens/{each}/holders"),
        token.map(lambda each: f"/tokens/{each}/transfers"),
        address.map(lambda each: f"/accounts/{each}/balances"),
        address.map(lambda each: f"/accounts/{each}/transfers"),
    )
    limit = st.one_of(st.integers(1, 12).map(str), st.sampled_from(["0", "1001", "x", ""]))
    known = st.fixed_dictionaries(
        {},
        optional={
            "address": address,
            "limit": limit,
            "amounts": st.sampled_from(["string", "x"]),
            "include": st.sampled_from(["zero", ""]),
            "token": st.sampled_from([*tokens, ""]),
            "order": st.sampled_from(["asc", "desc"]),
            "direction": st.sampled_from(["in", "out"]),
            "minAmount": st.sampled_from(["0", "5", "1000000"]),
            "standard": st.sampled_from(["true", "false"]),
            "cursor": st.sampled_from(["", "x"]),
            "height": st.sampled_from(["100", "1000000"]),
        },
    )
    query = st.one_of(known.map(urlencode), st.dictionaries(TEXT, TEXT, max_size=2).map(urlencode))
    return st.tuples(path, query).map("?".join)


MEDIA_RANGES = st.sampled_from(
    [
        *("application/json", "application/json;q=0.5", "application/json; q=0.5", "application/json;version=1"),
        *("APPLICATION/JSON", "application/*", "*/*", "*/*;q=0.1", "*/json", "text/*", "text/html", "text/plain"),
        *("text/csv", "text/csv;q=1", "application/x-ndjson", "application/problem+json", "", "x"),
    ]
)
ACCEPT = st.one_of(st.sampled_from(["application/json", "*/*"]), st.lists(MEDIA_RANGES, max_size=4).map(", ".join))

HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": ACCEPT,
        "Accept_Encoding": st.sampled_from(["gzip", "br"]),
        "If_None_Match": st.sampled_from(["*", '"other"', "x"]),
        "Origin": st.just("https://wallet.example.org"),
    },
)


def check_whatever(both: Both) -> None:
    """Questions of all kinds to the chain that is stored."""
    addresses = list(Account.objects.order_by("id").values_list("address", flat=True)[:20])
    tokens = sorted({text for row in Token.objects.values_list("path", "key", "realm") for text in row})
    alone = Counter[bool]()

    @settings(max_examples=60, deadline=None, database=None)
    @given(questions(addresses, tokens), HEADERS)
    def check(url: str, headers: dict[str, str]) -> None:
        answer, by_itself = both.same(url, **headers)
        alone[by_itself] += 1
        if by_itself and answer.status == "200 OK" and "Accept_Encoding" not in headers:
            following = json.loads(answer.content)["next"]
            assert following is None or both.same(following, **headers)[1]

    check()
    assert alone[True] > 5
    assert alone[False] > 5
