"""What is drained: WAL written once, and read by every contender through a copy of one slot."""

import contextlib
import dataclasses
import itertools

from support.cluster import Cluster

# About 300 bytes of JSON that compress about as real events do.
_row = """
    'bench', 'customer-' || (i::bigint * 7919 % {keys}),
    jsonb_build_object('order', i, 'state', 'paid', 'text',
        (SELECT string_agg(md5((i::bigint * 8 + part)::text), ' ') FROM generate_series(1, 8) part))
"""

_load = """
DO $load$
BEGIN
    FOR batch IN 0 .. {transactions} - 1 LOOP
        INSERT INTO walrelay.outbox (topic, key, payload)
        SELECT {row} FROM generate_series(batch * {size} + 1, (batch + 1) * {size}) i;
        COMMIT;
    END LOOP;
END
$load$
"""


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    transactions: int
    size: int
    keys: int = 10_000

    @property
    def rows(self):
        return self.transactions * self.size

    def shrunk(self):
        """A fifth of it."""
        if self.size > self.transactions:
            return dataclasses.replace(self, size=self.size // 5)
        return dataclasses.replace(self, transactions=self.transactions // 5)


backlogs = {
    each.name: each
    for each in (
        Workload("L", 1000, 1000),
        Workload("S", 200_000, 1),
        Workload("X", 1, 1_000_000),
        Workload("B", 11_500, 1000),
        Workload("G", 1, 10_000_000),
    )
}
few_rows = Workload("few", 20, 1000)  # more than the relay's window holds
keys = {
    "usual": Workload("usual keys", 400, 1000),
    "many": Workload("many keys", 400, 1000, keys=100_000),
    "one": Workload("one key", 400, 1000, keys=1),
}


_no_bottleneck = {
    "shared_buffers": "512MB",
    "max_wal_size": "48GB",
    "checkpoint_timeout": "1d",
    "autovacuum": "off",
}


def bench_cluster():
    """A server that isn't the bottleneck by its settings; no autovacuum, no checkpoint meanwhile.

    synchronous_commit stays on: without it the walsender waits for the WAL writer's next round.
    """
    return Cluster(**_no_bottleneck)


def durable_cluster():
    """The same with commits that wait for the disk."""
    return Cluster(**_no_bottleneck, fsync="on", synchronous_commit="on")


class Source:
    """A database with the outbox, and a slot that nobody reads: each reader gets a copy of it."""

    def __init__(self, cluster):
        self.database = cluster.database()
        self.database.install_schema()
        self.database.create_relay_role()
        self.database.publish("walrelay.outbox")
        self.database.create_slot()
        self.workload = None
        self.end = None
        self._numbers = itertools.count(1)

    def load(self, workload):
        """Commits the workload's rows; `end` is where their WAL ends. How many bytes it has."""
        row = _row.format(keys=workload.keys)
        start = self.database.wal_position()
        self.database.sql(
            _load.format(transactions=workload.transactions, size=workload.size, row=row)
        )
        size = self.database.wal_position() - start
        self.workload = workload
        self.end = self.database.value("SELECT pg_current_wal_insert_lsn()::text")
        # Something beyond the end, for readers that stop there.
        self.database.sql("CREATE TABLE after_the_end ()")
        self.database.sql("CHECKPOINT")
        return size

    def move_slot_on(self):
        """The copies of the slot made from now on begin after what is committed now."""
        self.database.sql(
            "SELECT pg_replication_slot_advance(%s, pg_current_wal_insert_lsn())",
            [self.database.slot],
        )

    @contextlib.contextmanager
    def slot(self):
        """The name of a fresh copy of the slot, dropped afterwards."""
        name = f"{self.database.slot}_{next(self._numbers)}"
        self.database.sql(
            "SELECT pg_copy_logical_replication_slot(%s, %s)", [self.database.slot, name]
        )
        try:
            yield name
        finally:
            self.database.sql(
                "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots"
                " WHERE slot_name = %s AND active_pid IS NOT NULL",
                [name],
            )
            self.database.sql("SELECT pg_drop_replication_slot(%s)", [name])

    def drop(self):
        self.database.drop()
