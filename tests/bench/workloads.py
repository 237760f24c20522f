"""What is drained: WAL written once, and read by every contender through a copy of one slot."""

import contextlib
import dataclasses
import itertools

from support.cluster import Cluster

# About 300 bytes of JSON that compress about as real events do, under 10,000 keys.
_row = """
    'bench', 'customer-' || (i::bigint * 7919 % 10000),
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

    @property
    def rows(self):
        return self.transactions * self.size


full = {
    "L": Workload("L", 1000, 1000),
    "S": Workload("S", 200_000, 1),
    "X": Workload("X", 1, 1_000_000),
}
quick = {
    "L": Workload("L", 200, 1000),
    "S": Workload("S", 40_000, 1),
    "X": Workload("X", 1, 200_000),
}


def bench_cluster():
    """A server that isn't the bottleneck by its settings; no autovacuum, no checkpoint meanwhile.

    synchronous_commit stays on: without it the walsender waits for the WAL writer's next round.
    """
    return Cluster(
        shared_buffers="512MB", max_wal_size="16GB", checkpoint_timeout="1d", autovacuum="off"
    )


class Source:
    """A database with the outbox, and a slot that nobody reads: each reader gets a copy of it."""

    def __init__(self, cluster):
        self.database = cluster.database()
        self.database.install_schema()
        self.database.create_relay_role()
        self.database.publish("walrelay.outbox")
        self.database.create_slot()
        self.end = None
        self._numbers = itertools.count(1)

    def load(self, workload):
        """Commits the rows of the workload; `end` is where their WAL ends."""
        statement = _load.format(transactions=workload.transactions, size=workload.size, row=_row)
        self.database.sql(statement)
        self.end = self.database.value("SELECT pg_current_wal_insert_lsn()::text")
        # Something beyond the end, for readers that stop there.
        self.database.sql("CREATE TABLE after_the_end ()")
        self.database.sql("CHECKPOINT")

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
