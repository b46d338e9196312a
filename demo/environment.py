"""Environments of processes on one machine: nothing of a developer's own proxy or `.env` reaches them."""

import os
import re
from collections.abc import Mapping

from demo.processes import ROOT

LOOPBACK = ("127.0.0.1", "localhost")


def direct_loopback(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """NO_PROXY, in both spellings, as in `environ` and with this machine: what runs here is reached without a proxy."""
    names = (environ.get("no_proxy") or environ.get("NO_PROXY", "")).split(",")
    value = ",".join([*filter(None, names), *(name for name in LOOPBACK if name not in names)])
    return {"NO_PROXY": value, "no_proxy": value}


def defaults() -> dict[str, str]:
    """Every variable of the project with its default: set, so that `.env` is not asked for it."""
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
