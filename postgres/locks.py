"""Advisory locks: every number of the project, in a key space of each deployment's own.

PostgreSQL keeps advisory locks by database. Two deployments in two schemas of one database are told apart by the first
of the two keys, the id of the table of migrations, which each of them has and every process of it resolves to the same
table. So one deployment never waits for the locks of another, and a lock that another program takes is no lock of ours.
"""

from enum import IntEnum

_NAMESPACE = "'django_migrations'::regclass::oid"


class Lock(IntEnum):
    """What is locked, and the second key."""

    SYNCHRONIZER = 0x676E6F00
    """Held by the session that stores windows (`blocks.leadership`)."""
    GATE = 0x676E6F01
    """Shared by transactions that apply messages, exclusive to one that corrects (`events.gate`)."""
    CORRECTION = 0x676E6F02
    """Held by the session that corrects, for all of its transactions (`events.gate`)."""
    RANKING = 0x676E6F03
    """Held by the session that ranks holders (`balances.ranking`)."""
    CHECKPOINTS = 0x676E6F04
    """Held by a transaction that makes checkpoints (`balances.checkpoints`)."""

    @property
    def key(self) -> str:
        """The arguments of PostgreSQL's `pg_advisory_…` functions, as SQL."""
        return f"{_NAMESPACE}::int4, {self.value}"

    @property
    def held(self) -> str:
        """The condition on a row of `pg_locks AS lock` that somebody holds this lock, as SQL."""
        database = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        key = f"lock.classid = {_NAMESPACE} AND lock.objid = {self.value} AND lock.objsubid = 2"
        return f"lock.locktype = 'advisory' AND lock.granted AND lock.database = {database} AND {key}"
