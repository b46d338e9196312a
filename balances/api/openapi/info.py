"""What the documentation says of the API as a whole: an introduction, groups of routes, and a line for each route."""

import re
from typing import Any

from django.urls import get_script_prefix

INTRODUCTION = """\
GRC20 balances and transfers of one gno.land chain.

**How far it is true.** Everything in an answer is read at one moment. `indexedHeight` (also `X-Indexed-Height`): every
block up to there is in. `includesUpTo`: nothing above it is; larger only while blocks are being caught up with.
`minHeight=` waits for a height of your own.

**Tokens** are found by id (`realm.SYMBOL.seqid`), key (`realm.SYMBOL`, or `realm:SYMBOL`) or realm, which means all its
tokens and those of its sub-realms (`realm#sub`; a `#` is sent as `%23`). Tokens of scripts (`gno.land/e/…`) come last.
**Amounts** are whole units of the token, exact at any size; `amounts=string` is for clients whose numbers are doubles.

**The past**: `height=` or `time=` gives any list of balances as it was then, exactly. Of one account and one token
there are a series to draw, and a statement of every transfer with the balance before and after it.

**Pages** neither shift nor repeat while blocks arrive. Follow `next`, or the `Link` header, until it is null.

**Asking again** is cheap: send the `ETag` as `If-None-Match`, and while nothing has changed the answer is 304.

**Errors** are `application/problem+json` and say what was wrong, with the value, and what is allowed. 429 and 503 say
by `Retry-After` when to come back. A key, if you were given one, goes into `X-API-Key`.

Pages of any origin may read this unless its operator says otherwise (CORS). Longer answers are compressed by gzip.
"""

GROUPS = {
    "tokens": "What there is of each token, who holds it, and how it moved.",
    "accounts": "What each account holds, and how it came by it.",
    "chain": "Blocks, transactions, and events that were not believed.",
    "events": "What is new, as it comes.",
    "service": "How the service is doing.",
}

_FIRST = re.compile(r"(.+?)(?:[;.:](?:\s|$)|$)", re.DOTALL)


def presented(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular hook: introduction, groups in order, and what each route says first as its summary."""
    result["info"]["description"] = INTRODUCTION
    if prefix := get_script_prefix().removesuffix("/"):
        result["servers"] = [{"url": prefix}]
    routes = [route for path in result["paths"].values() for route in path.values()]
    used = {tag for route in routes for tag in route["tags"]}
    result["tags"] = [{"name": name, "description": text} for name, text in GROUPS.items() if name in used]
    for route in routes:
        if summary := _FIRST.match(route.get("description", "")):
            route.setdefault("summary", " ".join(summary[1].split()))
    return result
