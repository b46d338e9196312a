"""Service routes: health, readiness and status of the indexer."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from balances.api.openapi import responses
from balances.api.responses.envelope import truth
from balances.api.responses.problems import PROBLEM_JSON, problem, problem_details
from balances.api.responses.renderers import Lenient
from balances.api.serializers import service
from balances.api.serializers.balances import Health, Problem
from balances.queries.block_times import rfc3339
from balances.queries.errors import NotReady
from balances.readiness import why_not_ready, with_way_out
from balances.snapshot import Snapshot, snapshot
from balances.status import Missing, Status, read_status
from blocks.gap_advice import likely_cause

_FRESH = {"Cache-Control": "no-store"}
_LONGEST_TEXT = 300
_TRUE = {"chainId": "gnotest-1", "indexedHeight": 485, "includesUpTo": 485, "acceptedGaps": 0, "firstHeight": 1}
_NOT_READY = "Indexed up to height 100 of 485, 385 behind. Allowed are 20 (READY_MAX_LAG)."
_EXAMPLE = {
    "version": "1.0.0",
    "ready": True,
    "notReady": None,
    "conflict": None,
    "tip": 485,
    "tipSeenAt": "2026-08-07T12:00:00.000000Z",
    "storedBlocks": 486,
    "contiguousHeight": 485,
    "lag": {"heights": 0, "seconds": 0.0},
    "newestBlock": {"height": 485, "time": "2026-08-07T11:59:58.000000Z", "ageSeconds": 3.2},
    "firstHeightProven": True,
    "firstHeightNote": "The chain begins at height 1: that block has no predecessor.",
    "gaps": {"number": 0, "heights": 0, "first": []},
    "accepted": {"number": 0, "heights": 0, "first": []},
    "endpoints": [
        {
            "url": "https://indexer.gno.land",
            "tip": 485,
            "level": True,
            "trouble": "",
            "seenAt": "2026-08-07T12:00:01.000000Z",
            "answeredAt": "2026-08-07T12:00:00.500000Z",
        }
    ],
    "synchronizers": [
        {
            "name": "indexer-1:17",
            "leads": True,
            "since": "2026-08-07T09:00:00.000000Z",
            "seenAt": "2026-08-07T12:00:01.000000Z",
            "silent": False,
        }
    ],
    "queue": {"pending": 0, "oldestPendingSeconds": None, "unpublished": 0, "setAside": 0, "recentTransfers": 12},
    **_TRUE,
}


def _responses(shape: Any, example: dict[str, Any]) -> dict[Any, Any]:
    shown = OpenApiExample("an answer", example, response_only=True, status_codes=["200"])
    errors = {key: said for key, said in responses.error_responses().items() if key[0] not in (400, 409)}
    return {(200, "application/json"): OpenApiResponse(shape, "As it is now.", [shown]), **errors}


class StatusViewSet(ViewSet):
    """How everything is doing: what is stored, applied, missing and waiting, and how the endpoints are."""

    @extend_schema(operation_id="status", tags=["service"], responses=_responses(service.Status, _EXAMPLE))
    def list(self, request: Request) -> Response:
        with snapshot() as seen:
            status, reason = read_status(seen.indexed_height), _why_not_ready(seen)
        said = {
            "version": settings.SPECTACULAR_SETTINGS["VERSION"],
            "ready": reason is None,
            "notReady": reason,
            **_shown(status),
            **truth(seen),
        }
        return Response(said, headers=_FRESH)


class ReadyViewSet(ViewSet):
    """Readiness: 200 when the index is near the tip and goes on, else 503 with the reason."""

    throttle_classes = ()
    content_negotiation_class = Lenient

    @extend_schema(
        operation_id="ready",
        tags=["service"],
        responses=_responses(service.Ready, {"ready": True, "tip": 485, **_TRUE})
        | {
            (503, PROBLEM_JSON): OpenApiResponse(
                Problem,
                "It is not synced, or stands still, or two blocks do not link; or the database is away.",
                [
                    OpenApiExample(
                        "503",
                        problem(503, _NOT_READY) | {"indexedHeight": 100},
                        response_only=True,
                        status_codes=["503"],
                    )
                ],
            )
        },
    )
    def list(self, request: Request) -> Response:
        with snapshot() as seen:
            reason = _why_not_ready(seen)
        if reason is None:
            tip = max(seen.indexed_height.tip, seen.indexed_height.height)
            return Response({"ready": True, "tip": tip, **truth(seen)}, headers=_FRESH)
        response = problem_details(NotReady(reason, seen.indexed_height.height), {"request": request})
        assert response is not None
        response["Cache-Control"] = "no-store"
        # It is asked every few seconds, and would be an error in the log each time.
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark
        return response


class HealthViewSet(ViewSet):
    """Liveness: the process answers. It asks neither the database nor anything else."""

    throttle_classes = ()  # a health check must never get 429
    content_negotiation_class = Lenient

    @extend_schema(operation_id="health", tags=["service"], responses={200: Health})
    def list(self, request: Request) -> Response:
        said = {"status": "ok", "version": settings.SPECTACULAR_SETTINGS["VERSION"]}
        return Response(said, headers={"Cache-Control": "no-store"})


def _why_not_ready(seen: Snapshot) -> str | None:
    return why_not_ready(seen.indexed_height, settings.READY_MAX_LAG, settings.READY_STALL_SECONDS)


def _shown(status: Status) -> dict[str, Any]:
    """What anybody may know; endpoints are stored by their public names."""

    def short(text: str) -> str:
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"

    def gaps(missing: Missing) -> dict[str, Any]:
        first = [
            {
                "fromHeight": gap.span.first,
                "toHeight": gap.span.last,
                "reason": short(gap.reason),
                "advice": likely_cause(gap.reason, gap.span.first),
            }
            for gap in missing.first
        ]
        return {"number": missing.gaps, "heights": missing.heights, "first": first}

    conflict, newest = status.indexed_height.conflict, status.newest
    return {
        "conflict": with_way_out(short(conflict)) if conflict else None,
        "tip": status.tip,
        "tipSeenAt": None if status.tip_seen_at is None else rfc3339(status.tip_seen_at),
        "storedBlocks": status.stored_blocks,
        "contiguousHeight": status.indexed_height.contiguous,
        "lag": {"heights": status.lag, "seconds": status.lag_seconds},
        "newestBlock": newest
        and {
            "height": newest.height,
            "time": rfc3339(newest.time),
            "ageSeconds": newest.age_seconds,
        },
        "firstHeightProven": status.first_height_proven,
        "firstHeightNote": status.first_height_note,
        "gaps": gaps(status.missing),
        "accepted": gaps(status.accepted),
        "endpoints": [
            {
                "url": endpoint.url,
                "tip": endpoint.tip,
                "level": endpoint.level,
                "trouble": short(endpoint.trouble),
                "seenAt": rfc3339(endpoint.seen_at),
                "answeredAt": None if endpoint.answered_at is None else rfc3339(endpoint.answered_at),
            }
            for endpoint in status.endpoints
        ],
        "synchronizers": [
            {
                "name": each.name,
                "leads": each.leads,
                "since": rfc3339(each.since),
                "seenAt": rfc3339(each.seen_at),
                "silent": each.silent,
            }
            for each in status.synchronizers
        ],
        "queue": {
            "pending": status.backlog.pending,
            "oldestPendingSeconds": status.backlog.oldest_seconds,
            "unpublished": status.backlog.unpublished,
            "setAside": status.backlog.set_aside,
            "recentTransfers": status.backlog.recent_transfers,
        },
    }
