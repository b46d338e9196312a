"""Block times: as answers say them, and which block a time means. Hand-written SQL lives here."""

from datetime import UTC, datetime

# Times ascend with heights, so these are look-ups in the index of times. The height, of the time in the braces.
LAST_BY = "SELECT height, time FROM blocks WHERE time <= {} ORDER BY time DESC, height DESC LIMIT 1"
NEXT_AFTER = "SELECT height, time FROM blocks WHERE time > {} ORDER BY time, height LIMIT 1"
FIRST_FROM = "SELECT height, time FROM blocks WHERE time >= {} ORDER BY time, height LIMIT 1"


def height_of(found: str) -> str:
    """SQL of the height alone, NULL where there is no such block."""
    return f"(SELECT height FROM ({found}) AS found)"  # noqa: S608  # one of the constants above


def rfc3339(time: datetime) -> str:
    """The time as RFC 3339 in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
