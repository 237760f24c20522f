"""The relay neither holds WAL back nor makes any when there is nothing to do."""

import pytest

from support.events import commit_position, emit, to_discard, to_http
from support.records import wait_all_acknowledged
from support.wait import stays, until


@pytest.mark.every_major
def test_an_idle_outbox_beside_busy_tables_lets_the_slot_follow(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    db.sql("CREATE TABLE busy (n int, text text)")
    for _ in range(3):
        for _ in range(4):
            db.sql("INSERT INTO busy SELECT n, repeat('x', 300) FROM generate_series(1, 2000) n")
        written = db.wal_position()
        until(
            lambda: db.slot_state()[1] > written - (1 << 20),
            20,
            lambda: f"confirmed_flush follows: {db.slot_state()} {written}",
        )
    assert receiver.requests == []
    assert process.status()["lag_bytes"] < 1 << 20


def test_another_busy_database_of_the_server_lets_the_slot_follow(db, more_dbs, relay):
    process = relay(to_discard(db)).wait_ready()
    other = more_dbs()
    other.sql("CREATE TABLE busy (n int, text text)")
    other.sql("INSERT INTO busy SELECT n, repeat('x', 300) FROM generate_series(1, 10000) n")
    written = db.wal_position()
    until(
        lambda: db.slot_state()[1] > written - (1 << 20),
        20,
        lambda: f"confirmed_flush follows: {db.slot_state()} {written}",
    )
    assert process.ready()


def test_an_idle_server_is_not_written_to(new_cluster, new_db, relay):
    # Without autovacuum and background writer nobody else writes WAL.
    database = new_db(
        new_cluster(autovacuum="off", checkpoint_timeout="1h", bgwriter_delay="10s")
    )
    process = relay(to_discard(database)).wait_ready()
    before = database.wal_position()
    emit(database, 1)
    until(lambda: database.slot_state()[1] > before, what="the row is recorded and acknowledged")
    assert process.delivered("nothing") == 1
    process.wait_settled()
    recorded = database.value("SELECT updated_at FROM walrelay.progress")
    # The server itself notes running transactions once after the last change.
    stays(
        lambda: database.value("SELECT updated_at FROM walrelay.progress") == recorded,
        4,
        lambda: f"the record stays as it is: {process.status()}",
        every=0.5,
    )
    before = database.wal_position()
    stays(
        lambda: database.wal_position() - before < 256,
        2,
        lambda: f"WAL grew by {database.wal_position() - before} bytes",
        every=0.5,
    )


def test_while_the_record_cannot_be_written_nothing_is_acknowledged(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1)
    receiver.wait_for(1)
    process.wait_settled()
    confirmed = db.slot_state()[1]
    db.sql("REVOKE UPDATE ON walrelay.progress FROM walrelay_relay")
    emit(db, 2)
    receiver.wait_for(2)
    process.wait_log("record the progress of .* permission denied")
    commit = commit_position(receiver.requests[1])
    stays(lambda: confirmed <= db.slot_state()[1] <= commit, 2, "the slot stays before the row")
    db.sql("GRANT UPDATE ON walrelay.progress TO walrelay_relay")
    process.wait_settled()
    until(lambda: db.slot_state()[1] > commit, what="the server has the acknowledgement")
    assert process.stop() == 0
    assert len(receiver.requests) == 2


@pytest.mark.every_major
def test_an_update_of_the_record_is_hot_and_its_page_doesnt_bloat(db, relay):
    process = relay(to_discard(db)).wait_ready()
    for number in range(4):
        wait_all_acknowledged(db, number)  # so each is a record of its own
    process.stop()
    figures = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'progress'"
    until(lambda: db.value(figures) > 2, what="the statistics arrive")
    [[updates, hot]] = db.sql(figures)
    assert hot == updates
