"""Golden answers: what every route answered for the recorded chains, byte for byte.

`WRITE_GOLDEN=1 pytest tests/balances/api -k golden` writes them anew, after a change that clients may see.
"""

import hashlib
import json
import os
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.test import Client

GOLDEN = Path(__file__).with_name("golden")
MOST_PAGES = 3
SHORT = 300
"""Bytes of a body that are kept as they are."""
HEADERS = ("Content-Type", "Content-Disposition", "X-Indexed-Height", "X-Chain-Id", "X-Includes-Up-To", "Link", "Vary")

TOKENS = {
    "gnotest-1": ["gno.land/r/demo/defi/foo20.FOO.0000000", "gno.land/r/demo/defi/grc20factory.PERUN",
                  "gno.land/r/demo/defi/grc20factory", "gno.land/r/demo/defi/grc20factory:V-1_x",
                  "gno.land/r/gnoland/wugnot.wugnot.0000000",
                  "gno.land/r/g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf/vault.SILVER.0000002", "gno.land/r/none.X.1",
                  "x"],
    "test5-1": ["gno.land/r/demo/foo20", "gno.land/r/demo/wugnot", "gno.land/r/lab/ovftok", "gno.land/r/lab"],
}  # fmt: skip
ACCOUNTS = {
    "gnotest-1": ["g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf", "g100qwkhfyhl7q74x3xa3x48t0egut6048feywnz",
                  "G1YZ66F8S6PLQ4UUL0PA3MT0LVJSWS5D4JU5XMMX", "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5", "g1x"],
    "test5-1": ["g14supzhx0v5sza947sdh4x74wnws9xvcfwdecef", "g12g569s05c293zu2kxk0z426yylxmmthx8hcudd"],
}  # fmt: skip
HASH = "bs6IgCvzDBPt6EC0gNM40+XfLX2gf1keAXQayrkTTyU="
BALANCES: list[dict[str, Any]] = [
    {}, {"limit": 3}, {"limit": 2, "include": "zero"}, {"minAmount": 5000, "limit": 4}, {"standard": "true"},
    {"standard": "false"}, {"height": 100, "limit": 4}, {"height": 300}, {"time": "2020-01-01T00:00:00Z"},
    {"amounts": "string", "limit": 2}, {"format": "csv", "limit": 3}, {"format": "csv"}, {"format": "ndjson"},
    {"height": 9999}, {"height": -1}, {"limit": 0}, {"x": 1}, {"cursor": "x"}, {"minHeight": 100, "limit": 1},
    {"height": 100, "format": "csv"}, {"height": 100, "minAmount": 1000, "limit": 2, "amounts": "string"},
]  # fmt: skip
TRANSFERS: list[dict[str, Any]] = [
    {}, {"limit": 3}, {"limit": 3, "order": "asc"}, {"type": "mint", "limit": 3}, {"type": "burn,mint", "limit": 2},
    {"fromHeight": 100, "toHeight": 200, "limit": 3}, {"minAmount": 1000, "limit": 3}, {"standard": "false"},
    {"toTime": "2100-01-01T00:00:00Z", "limit": 2}, {"fromTime": "2100-01-01T00:00:00Z"},
    {"amounts": "string", "limit": 2}, {"format": "csv", "limit": 3},
    {"format": "ndjson", "toHeight": 150}, {"format": "csv", "toHeight": 120},
    {"order": "x"}, {"type": "x"}, {"fromHeight": "x"}, {"direction": "in", "limit": 2},
    {"direction": "out", "limit": 2},
]  # fmt: skip


def questions(chain: str) -> list[str]:
    """URLs of every route but /status, /ready, /health and the stream, which tell of the moment."""
    tokens, accounts = TOKENS[chain], ACCOUNTS[chain]
    lists: list[tuple[str, list[dict[str, Any]]]] = [
        ("/tokens/balances", BALANCES),
        ("/tokens/transfer-history", TRANSFERS),
        ("/tokens", [{}, {"limit": 2}, {"search": "foo"}, {"search": "zzz"}, {"standard": "true", "limit": 3},
                     {"standard": "false"}, {"format": "csv"}, {"format": "ndjson"}, {"amounts": "string", "limit": 1},
                     {"search": "x" * 101}]),
        ("/events/refused", [{}, {"limit": 2}, {"order": "asc", "limit": 2}, {"reason": "foreign_emitter"},
                             {"type": "Transfer", "limit": 2}, {"emitter": "gno.land/r/demo/defi/foo20"},
                             {"fromHeight": 50, "toHeight": 300, "limit": 3}, {"format": "csv"}, {"reason": "x"}]),
    ]  # fmt: skip
    for token in tokens:
        path = quote(token)
        lists += [
            (f"/tokens/{path}", [{}, {"height": 100}, {"format": "csv"}, {"height": 99999}]),
            (f"/tokens/{path}/balances", [*BALANCES, {"address": accounts[0]}, {"address": ",".join(accounts[:2])}]),
            (f"/tokens/{path}/holders", BALANCES),
            (f"/tokens/{path}/transfers", [*TRANSFERS, {"address": accounts[0], "direction": "out", "limit": 3}]),
        ]
        lists += [("/tokens/balances", [{"token": token}, {"token": token, "address": accounts[0]}])]
        lists += [("/tokens", [{"token": token}])]
        lists += [("/tokens/transfer-history", [{"token": token, "limit": 2, "address": accounts[0]}])]
    for account in accounts:
        lists += [
            (f"/accounts/{account}", [{}, {"amounts": "string"}, {"x": 1}]),
            (f"/accounts/{account}/balances", [*BALANCES, {"token": tokens[0]}]),
            (f"/accounts/{account}/transfers",
             [*TRANSFERS, {"token": tokens[0], "limit": 3}, {"counterparty": accounts[1], "limit": 3}]),
            ("/tokens/balances", [{"address": account, "height": 100}, {"address": account, "limit": 2}]),
            ("/tokens/transfer-history", [{"address": account, "limit": 4, "direction": "in"},
                                          {"address": account, "counterparty": accounts[0], "limit": 3}]),
        ]  # fmt: skip
        for token in tokens[:5]:
            pair = f"/accounts/{account}/tokens/{quote(token)}"
            lists += [
                (f"{pair}/series", [{}, {"interval": "hour"}, {"points": 5}, {"fromHeight": 50, "toHeight": 150}]),
                (f"{pair}/statement", [{}, {"limit": 3}, {"fromHeight": 60, "toHeight": 300}, {"format": "csv"},
                                       {"amounts": "string", "limit": 1}]),
            ]  # fmt: skip
    for sha in (HASH, quote(HASH, safe=""), "x", HASH[:-1]):
        lists += [(f"/transactions/{sha}", [{}, {"amounts": "string"}])]
    for height in (0, 1, 60, 100, 200, 485, 486, "x"):
        lists += [(f"/blocks/{height}", [{}, {"limit": 1}])]
    lists += [("/", [{}]), ("/nothing", [{}])]
    return list(dict.fromkeys(f"{path}?{urlencode(each)}" if each else path for path, some in lists for each in some))


def shortened(body: bytes) -> str:
    """The body, or its beginning and its checksum: enough to tell any change and to see where to look."""
    if os.environ.get("WHOLE_GOLDEN") or len(body) <= SHORT:
        return body.decode()
    return f"{body[:SHORT].decode(errors='replace')}… sha256:{hashlib.sha256(body).hexdigest()}"


def answers(client: Client, chain: str) -> list[dict[str, Any]]:
    """Every question's answer, and the first pages that follow."""
    given = []
    for question in questions(chain):
        url: str | None = question
        for _ in range(MOST_PAGES):
            if url is None:
                break
            answer = client.get(url, headers={"accept": "*/*"})
            body = b"".join(answer) if answer.streaming else answer.content
            headers = {name: answer[name] for name in HEADERS if name in answer}
            given.append({"url": url, "status": answer.status_code, "headers": headers, "body": shortened(body)})
            url = None
            if headers.get("Content-Type") == "application/json" and answer.status_code == 200:
                url = json.loads(body).get("next")
    return given


def check(client: Client, chain: str) -> None:
    path = GOLDEN / f"{chain}.jsonl"
    given = answers(client, chain)
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(each) + "\n" for each in given))
    expected = [json.loads(line) for line in path.read_text().splitlines()]
    different = [(mine, golden) for mine, golden in zip_longest(given, expected) if mine != golden]
    assert not different, f"{len(different)} of {len(expected)} differ; the first: {different[0]}"
