"""The name under which the relay knows `postgres.outage_log`."""

from postgres.outage_log import OutageLog as Troubles

__all__ = ["Troubles"]
