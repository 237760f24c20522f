"""Rows that go to Kafka: the sink map, a writer in full flow, and what the topic must hold then."""

import contextlib
import json
import threading

from .events import emit, outbox_to, skips
from .relay import config
from .wait import until


def to_kafka(database, broker, topic=None, kafka=None, route=None, **sections):
    """A sink map that sends the outbox to the broker; without `topic`, to the one of each row."""
    sink = {"kafka": {"brokers": broker.bootstrap, "metadata": True, **(kafka or {})}}
    more = {"topic": topic} if topic else {}
    return config(
        database, {"events": sink}, [outbox_to("events", **more, **(route or {}))], **sections
    )


def wait_all_acknowledged(database, number, deadline=30):
    """Commits one more row, and waits until it, and so every row before it, is acknowledged."""
    with contextlib.closing(database.conn(autocommit=False)) as connection:
        cursor = connection.cursor()
        emit(database, number, cursor=cursor)
        # Just before the commit, so that nothing else is likely to lie between.
        position = database.wal_position(cursor)
        connection.commit()
    until(lambda: database.slot_state()[1] > position, deadline, "all is acknowledged", every=0.05)


def number_of(record):
    return json.loads(record.value)["n"]


def logs_by_key(records):
    """The numbers of each key in the order of its partition."""
    found = {}
    for record in sorted(records, key=lambda one: (one.partition, one.offset)):
        found.setdefault(record.key, []).append(number_of(record))
    return found


def repeats(records):
    """How many records came again; a repeat with other bytes is an error."""
    seen = {}
    for record in records:
        identity = (record.header("id"), record.key, record.value, record.partition)
        assert seen.setdefault(number_of(record), identity) == identity
    return len(records) - len(seen)


def assert_all_arrived(records, numbers, strict=True):
    """Nothing is lost, and the last record of each key is its newest.

    `strict`: nor did any event come before one of its key that was committed earlier.
    """
    assert {number_of(record) for record in records} == set(numbers)
    for key, log in logs_by_key(records).items():
        assert log[-1] == max(log), f"the last record of {key} is {log[-1]}, not {max(log)}"
        assert not strict or skips(log) == [], key


class Writer:
    """Commits small transactions one after the other, in a thread, until it is stopped.

    Numbers ascend in commit order from `first`; `committed` tells how many are in the database.
    """

    def __init__(self, database, first=0, rows=10, keys=20):
        self.first = first
        self.committed = 0
        self._database = database
        self._rows = rows
        self._keys = keys
        self._stop = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            with contextlib.closing(self._database.conn()) as connection:
                cursor = connection.cursor()
                while not self._stop.is_set():
                    first = self.first + self.committed
                    emit(self._database, first, first + self._rows - 1, self._keys, cursor)
                    self.committed += self._rows
                    self._stop.wait(0.002)
        except Exception as error:  # pylint: disable=broad-except
            self._failure = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """All numbers that were committed."""
        self._stop.set()
        self._thread.join()
        assert self._failure is None, self._failure
        return range(self.first, self.first + self.committed)


def commit_many(database, count, rows=100, keys=20):
    """Commits the numbers 0..count in transactions of `rows`, on one connection."""
    with contextlib.closing(database.conn()) as connection:
        cursor = connection.cursor()
        for first in range(0, count, rows):
            emit(database, first, min(first + rows, count) - 1, keys, cursor)
    return range(count)


def murmur2(key):
    """The hash by which Java's producer places a key; see partition_of."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    found = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * factor & mask
        word = (word ^ word >> 24) * factor & mask
        found = (found * factor & mask) ^ word
    if key[whole:]:
        found = (found ^ int.from_bytes(key[whole:], "little")) * factor & mask
    found = (found ^ found >> 13) * factor & mask
    return found ^ found >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions
