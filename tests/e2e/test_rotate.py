"""walrelay.rotate(): what it truncates, and above all what it keeps."""

import contextlib
import uuid

import pytest
from psycopg2 import errors

from support.wait import until


@pytest.fixture
def outbox(empty_db):
    """A database with the schema and nothing else."""
    empty_db.install_schema()
    # The rings turn on the full hour, which no test may meet halfway.
    ahead = ("SELECT clock_timestamp() + interval '10 s'"
             " < date_trunc('hour', clock_timestamp()) + interval '1 hour'")
    until(lambda: empty_db.value(ahead), 20, "the hour has begun")
    return empty_db


def prepare(database, *statements):
    gid = f"test {uuid.uuid4()}"
    with contextlib.closing(database.conn(autocommit=False)) as session:
        cursor = session.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("PREPARE TRANSACTION %s", [gid])
    return gid


def record(database, slot="s", snapshot=None, server=None, user="postgres"):
    """A relay's record, as if all that is visible now were delivered; snapshot '' is none."""
    database.sql(
        "INSERT INTO walrelay.progress"
        " (slot, safe_lsn, epoch, delivered_snapshot, system_identifier, timeline)"
        " VALUES (%s, '0/1', 1, CASE %s WHEN 'now' THEN pg_current_snapshot()"
        " WHEN '' THEN NULL ELSE %s::pg_snapshot END,"
        " coalesce(%s, (SELECT system_identifier FROM pg_control_system())), 1)"
        " ON CONFLICT (slot) DO UPDATE SET delivered_snapshot = excluded.delivered_snapshot",
        [slot, "now" if snapshot is None else snapshot, snapshot or None, server], user=user)


def hours_ago(hours):
    """SQL of an event that was emitted so long ago."""
    return ("INSERT INTO walrelay.outbox (topic, at)"
            f" VALUES ('t', clock_timestamp() - interval '{hours} hours')")


def workflow_hours_ago(hours):
    """SQL of a workflow that was enqueued so long ago."""
    return ("INSERT INTO walrelay.dispatch (push, queue, name, workflow_id, attempt, input, at)"
            " VALUES (1, 'default', 'w', gen_random_uuid(), 1, '{}',"
            f" clock_timestamp() - interval '{hours} hours')")


def rotated(database, keep_hours=""):
    return [name for [name] in database.sql(f"SELECT walrelay.rotate({keep_hours})")]


def rows_of(database):
    return database.value("SELECT count(*) FROM walrelay.outbox")


@pytest.mark.every_major
def test_the_oldest_delivered_partitions_are_truncated_and_the_others_kept_for_replay(outbox):
    for hours in (0, 1, 5, 19, 21, 22):
        outbox.sql(hours_ago(hours))
    record(outbox)
    assert len(rotated(outbox)) == 2
    assert rows_of(outbox) == 4
    assert rotated(outbox) == []


def test_this_hour_and_the_next_are_never_truncated(outbox):
    for hours in range(24):
        outbox.sql(hours_ago(hours))
        outbox.sql(workflow_hours_ago(hours))
    record(outbox)
    hour = outbox.value("SELECT extract(hour from clock_timestamp() at time zone 'UTC')::int")
    # The oldest come first; the next hour's partitions still hold what came 23 hours ago.
    assert rotated(outbox, 0) == [f"{ring}_{(hour + ahead) % 24:02}" for ahead in range(2, 24)
                                  for ring in ("outbox", "dispatch")]
    assert rows_of(outbox) == 2
    assert outbox.value("SELECT count(*) FROM walrelay.dispatch") == 2
    for wrong in ("-1", "22", "NULL"):
        with pytest.raises(errors.InvalidParameterValue):
            rotated(outbox, wrong)


def test_nothing_is_truncated_without_a_record(outbox):
    outbox.sql(hours_ago(5))
    assert rotated(outbox, 0) == []
    record(outbox, snapshot="")
    assert rotated(outbox, 0) == []
    outbox.sql("DELETE FROM walrelay.progress")
    record(outbox, "elsewhere", server=42)
    assert rotated(outbox, 0) == []
    record(outbox)
    assert len(rotated(outbox, 0)) == 1


@pytest.mark.every_major
def test_an_undelivered_event_keeps_its_partition(outbox):
    outbox.sql(hours_ago(5))
    record(outbox)
    outbox.sql(hours_ago(5))
    outbox.sql(hours_ago(7))
    assert rotated(outbox, 0) == []
    record(outbox)
    assert len(rotated(outbox, 0)) == 2


@pytest.mark.every_major
def test_workflows_are_truncated_by_the_same_rules(outbox):
    def leaf_of(hours):
        return outbox.value("SELECT c.relname FROM walrelay.dispatch d JOIN pg_class c"
                            " ON c.oid = d.tableoid WHERE d.at BETWEEN"
                            " now() - interval '1 hour' * (%s + 0.1)"
                            " AND now() - interval '1 hour' * (%s - 0.1)", [hours, hours])

    for hours in (5, 7, 9):
        outbox.sql(workflow_hours_ago(hours))
    delivered, newer, read = leaf_of(5), leaf_of(7), leaf_of(9)
    assert rotated(outbox, 0) == [], "no relay has a record"
    record(outbox)
    assert rotated(outbox) == [], "kept for replay"
    gid = prepare(outbox, workflow_hours_ago(11))
    record(outbox)
    outbox.sql(workflow_hours_ago(7))
    with contextlib.closing(outbox.conn(autocommit=False)) as reader:
        reader.cursor().execute(f"TABLE walrelay.{read}")
        assert rotated(outbox, 0) == [delivered]
        reader.rollback()  # back when the lock is gone, as a connection's end is not
    assert rotated(outbox, 0) == [read]
    outbox.sql("COMMIT PREPARED %s", [gid])
    prepared = leaf_of(11)
    assert rotated(outbox, 0) == [], "the record is older"
    record(outbox)
    assert rotated(outbox, 0) == [prepared, newer]
    assert outbox.value("SELECT count(*) FROM walrelay.dispatch") == 0


def test_every_relay_of_this_server_counts(outbox):
    record(outbox, "slow")
    outbox.sql(hours_ago(5))
    record(outbox, "fast")
    record(outbox, "of another server", snapshot="", server=42)
    assert rotated(outbox, 0) == []
    record(outbox, "slow", snapshot="")
    assert rotated(outbox, 0) == []
    record(outbox, "slow")
    assert len(rotated(outbox, 0)) == 1


def test_a_transaction_that_was_open_when_the_snapshot_was_taken_keeps_its_partition(outbox):
    with contextlib.closing(outbox.conn(autocommit=False)) as late:
        late.cursor().execute(hours_ago(5))
        late.cursor().execute("SAVEPOINT s")
        late.cursor().execute(hours_ago(6))
        outbox.sql(hours_ago(7))
        outbox.sql(hours_ago(5))
        record(outbox)
        outbox.sql("SELECT txid_current()")
        # Only the snapshot's xmin counts, so the other partition waits too: it is not below it.
        assert rotated(outbox, 0) == []
        late.commit()
    assert rotated(outbox, 0) == []
    record(outbox)
    assert len(rotated(outbox, 0)) == 3


def test_a_locked_partition_is_left_for_the_next_time_and_the_others_go(outbox):
    for hours in (5, 7):
        outbox.sql(hours_ago(hours))
    record(outbox)
    with contextlib.closing(outbox.conn(autocommit=False)) as reader:
        leaf = outbox.value("SELECT tableoid::regclass::text FROM walrelay.outbox"
                            " WHERE at < now() - interval '6 hours'")
        reader.cursor().execute(f"TABLE {leaf}")
        gone = rotated(outbox, 0)
        assert len(gone) == 1 and not leaf.endswith(gone[0])
        reader.rollback()  # back when the lock is gone, as a connection's end is not
    assert len(rotated(outbox, 0)) == 1


@pytest.mark.every_major
def test_a_prepared_transaction_keeps_its_partition(outbox):
    outbox.sql(hours_ago(5))
    gid = prepare(outbox, hours_ago(5))
    record(outbox)
    assert rotated(outbox, 0) == []
    outbox.sql("COMMIT PREPARED %s", [gid])
    assert rotated(outbox, 0) == []
    record(outbox)
    assert len(rotated(outbox, 0)) == 1


def test_a_transaction_with_one_snapshot_for_all_may_not_rotate(outbox):
    with contextlib.closing(outbox.conn(autocommit=False)) as session:
        session.set_session(isolation_level="REPEATABLE READ")
        with pytest.raises(errors.ActiveSqlTransaction):
            session.cursor().execute("SELECT walrelay.rotate()")


@pytest.mark.parametrize("ahead", [1_000_000, 1_000_000_000, 3_000_000_000, 5_000_000_000])
def test_a_snapshot_that_is_not_of_this_history_truncates_nothing(outbox, ahead):
    outbox.sql(hours_ago(5))
    xid = outbox.value("SELECT pg_current_xact_id()::text::int8") + ahead
    record(outbox, snapshot=f"{xid}:{xid}:")
    assert rotated(outbox, 0) == []


@pytest.mark.every_major
def test_the_record_is_updated_within_its_page(outbox):
    record(outbox)
    for number in range(200):
        outbox.sql("UPDATE walrelay.progress SET safe_lsn = '0/1'::pg_lsn + %s", [number])

    def figures():
        [row] = outbox.sql("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables"
                           " WHERE relid = 'walrelay.progress'::regclass")
        return row if row[0] == 200 else None

    assert until(figures, what="the statistics have all updates") == (200, 200)
