"""Slot, record and server must belong together: what is refused, and who holds it."""

import itertools
import re

import pytest

from support.events import emit, numbers, to_discard, to_http
from support.slot_holder import slot_held
from support.wait import stays, until

lsn = r"[0-9A-F]+/[0-9A-F]+"


def refusal(process, code):
    """Starts a relay that must end by itself with this code; its log."""
    process.start()
    assert process.wait_exit() == code, process.log()[-2000:]
    return process.log()


def deliver_some(database, receiver, process):
    process.start(wait=True)
    emit(database, 0, 9)
    receiver.wait_for(10)
    process.wait_settled()
    assert process.stop() == 0
    until(lambda: not database.slot_state()[0], what="its walsender has let go of the slot")


def drop_slot(database):
    database.sql("SELECT pg_drop_replication_slot(%s)", [database.slot])


@pytest.mark.every_major
def test_a_recreated_slot_is_refused_with_the_interval_that_may_be_lost(db, receiver, relay):
    process = relay(to_http(db, receiver), start=False)
    deliver_some(db, receiver, process)
    drop_slot(db)
    emit(db, 10)
    db.create_slot()
    confirmed = db.value(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s", [db.slot]
    )
    safe = db.value("SELECT safe_lsn FROM walrelay.progress")
    log = refusal(process, 3)
    assert f"({safe}, {confirmed}] may be lost" in log
    assert db.slot in log
    assert len(receiver.requests) == 10, "nothing is sent"


@pytest.mark.every_major
def test_a_slot_that_somebody_advanced_is_refused(db, receiver, relay):
    process = relay(to_http(db, receiver), start=False)
    deliver_some(db, receiver, process)
    emit(db, 10)
    db.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", [db.slot])
    assert re.search(rf"\({lsn}, {lsn}\] may be lost", refusal(process, 3))


@pytest.mark.every_major
def test_a_missing_slot_with_a_record_is_exit_3(db, receiver, relay):
    process = relay(to_http(db, receiver), start=False)
    deliver_some(db, receiver, process)
    drop_slot(db)
    log = refusal(process, 3)
    assert re.search(rf"it is missing, but .* delivered up to {lsn}.* may be lost", log)
    slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s"
    assert db.value(slots, [db.slot]) == 0, "the relay makes none"


@pytest.mark.every_major
def test_a_missing_slot_without_a_record_is_exit_2_with_the_command_that_makes_it(db, relay):
    drop_slot(db)
    log = refusal(relay(to_discard(db), start=False), 2)
    assert "it does not exist" in log and "walrelay sql -c" in log and "--apply" in log


def test_the_record_of_another_cluster_is_exit_3(db, relay):
    db.sql(
        "INSERT INTO walrelay.progress (slot, safe_lsn, epoch, system_identifier, timeline)"
        " VALUES (%s, '0/1', 7, 42, 1)",
        [db.slot],
    )
    log = refusal(relay(to_discard(db), start=False), 3)
    identifier = db.value("SELECT system_identifier FROM pg_control_system()")
    assert f"system identifier 42, this server's is {identifier}" in log
    assert db.value("SELECT epoch FROM walrelay.progress") == 7, "nothing is written"


def test_before_exit_3_the_reason_can_be_read_for_exit_delay(db, relay):
    db.sql(
        "INSERT INTO walrelay.progress (slot, safe_lsn, epoch, system_identifier, timeline)"
        " VALUES (%s, '0/1', 7, 42, 1)",
        [db.slot],
    )
    settings = to_discard(db)
    settings["source"]["exit_delay"] = "30s"
    process = relay(settings)
    process.wait_not_ready("is of another cluster")
    assert process.metrics()["walrelay_ready"] == 0
    assert process.stop() == 3


@pytest.mark.parametrize(
    "make, said",
    [
        ("pg_create_physical_replication_slot(%s)", "it is a physical slot"),
        (
            "pg_create_logical_replication_slot(%s, 'test_decoding')",
            "its plugin is test_decoding, not pgoutput",
        ),
    ],
)
@pytest.mark.every_major
def test_a_slot_of_another_kind_is_exit_2_by_name(make, said, db, relay):
    drop_slot(db)
    db.sql("SELECT " + make, [db.slot])
    try:
        log = refusal(relay(to_discard(db), start=False), 2)
        assert said in log and db.slot in log
    finally:
        drop_slot(db)


def test_the_slot_of_another_database_is_exit_2_by_name(db, cluster, relay):
    drop_slot(db)
    cluster.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [db.slot])
    try:
        log = refusal(relay(to_discard(db), start=False), 2)
        assert f'belongs to database "postgres", the connection is to "{db.name}"' in log
    finally:
        cluster.sql("SELECT pg_drop_replication_slot(%s)", [db.slot])


@pytest.mark.every_major
def test_an_invalidated_slot_is_exit_4(new_cluster, new_db, receiver, relay):
    database = new_db(new_cluster(max_slot_wal_keep_size="1MB", min_wal_size="32MB",
                                  max_wal_size="32MB"))
    process = relay(to_http(database, receiver), start=False)
    deliver_some(database, receiver, process)
    for _ in range(4):
        database.sql("SELECT pg_switch_wal() FROM (SELECT txid_current()) t")
    database.sql("CHECKPOINT")
    assert database.value("SELECT wal_status FROM pg_replication_slots") == "lost"
    log = refusal(process, 4)
    assert re.search(rf"wal_status is lost.* after {lsn} ", log)


def epoch_of(db):
    return db.value("SELECT epoch FROM walrelay.progress")


@pytest.mark.every_major
def test_a_held_slot_is_waited_for_and_the_epoch_is_drawn_only_then(db, receiver, relay):
    with slot_held(db) as holder:
        process = relay(to_http(db, receiver))
        process.wait_log(rf"active for PID {holder}")
        process.wait_not_ready(str(holder))
        emit(db, 1)
        stays(lambda: receiver.requests == [], 1, "who waits sends nothing")
        assert db.value("SELECT count(*) FROM walrelay.progress") == 0, "who waits writes nothing"
    process.wait_ready()
    assert numbers(receiver.wait_for(1)) == [1]
    assert process.status()["epoch"] == epoch_of(db)
    assert process.log().count("(epoch ") == 1, "drawn once"
    assert process.log().count("waiting until it is free") == 1


@pytest.mark.every_major
def test_a_second_relay_waits_and_takes_over_when_the_first_is_killed(db, receiver, relay):
    first = relay(to_http(db, receiver)).wait_ready()
    second = relay(to_http(db, receiver))
    second.wait_log("waiting until it is free")
    emit(db, 1)
    receiver.wait_for(1)
    first.wait_settled()
    epoch = epoch_of(db)
    first.kill9()
    second.wait_ready()
    emit(db, 2)
    assert numbers(receiver.wait_for(2)) == [1, 2]
    assert epoch_of(db) == epoch + 1


def test_a_waiting_relay_is_not_misled_by_the_work_of_the_one_that_holds_the_slot(
    db, receiver, relay
):
    first = relay(to_http(db, receiver)).wait_ready()
    second = relay(to_http(db, receiver))
    second.wait_log("waiting until it is free")
    epoch = epoch_of(db)
    count = itertools.count()

    def both_run():
        emit(db, next(count))
        return first.running() and second.running()

    stays(both_run, 5, lambda: f"both run\n{second.log()}", every=0.01)
    receiver.wait_for(next(count))
    assert first.ready() and not second.ready()
    assert epoch_of(db) == epoch
    assert second.stop() == 0


def test_a_relay_whose_epoch_was_drawn_by_another_stops_sending(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1)
    receiver.wait_for(1)
    process.wait_settled()
    epoch = epoch_of(db)
    db.sql("UPDATE walrelay.progress SET epoch = epoch + 5")
    emit(db, 2)
    process.wait_log("another relay has taken over slot")
    # Nobody holds the slot here, so it is taken back at once, with an epoch of its own.
    until(lambda: epoch_of(db) == epoch + 6, what="a new epoch")
    process.wait_ready()
    emit(db, 3)
    until(lambda: 3 in numbers(receiver.requests), what="the row behind it")
    assert set(numbers(receiver.requests)) == {1, 2, 3}
