"""kill -9 of the relay and of the server: nothing is lost, little repeated, all with equal bytes.

The servers run without fsync: what they have written outlives their processes, if not the machine,
and what only their buffers hold is lost either way.
"""

import itertools

import pytest

from support.events import Arrivals, by_key, emit, numbers, position, skips, to_http
from support.receiver import Reply
from support.records import wait_all_acknowledged
from support.relay import config
from support.wait import until

replay_events = 400


def write_transactions(database, count, sizes):
    """Commits transactions of these sizes, in turn, until `count` events are written."""
    first = 0
    for size in itertools.cycle(sizes):
        if first >= count:
            return first
        emit(database, first, first + size - 1, keys=10)
        first += size
    return first


@pytest.mark.every_major
def test_after_kill_9_in_mid_transaction_all_rows_arrive_with_equal_ids_and_bytes(
    db, receiver, relay
):
    largest = 1500
    limits = {"replay_events": replay_events, "in_flight_events": 100}
    process = relay(to_http(db, receiver, limits=limits)).wait_ready()
    total = write_transactions(db, 6000, [1, 50, largest, 200])
    kills = 0
    for threshold in (700, 2100, 3900):
        receiver.wait_for(threshold)
        process.kill9()
        kills += 1
        process.start()
    until(lambda: Arrivals.of(receiver.requests).distinct == set(range(total)), 30, "all rows")
    arrivals = Arrivals.of(receiver.requests)
    assert arrivals.differing == []
    assert arrivals.repeats <= kills * (replay_events + largest)
    assert arrivals.repeats > 0, "it was killed in the middle of its work"
    for key, log in by_key(receiver.requests).items():
        assert skips(log) == [], key


@pytest.mark.every_major
def test_ids_of_a_table_without_ids_are_equal_after_kill_9(db, receiver, relay):
    db.sql("CREATE TABLE plain (n int, body text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE plain")
    settings = config(
        db,
        {"endpoint": {"http": {"url": receiver.url}}},
        [
            {"from": "public.plain", "shape": {"key": "{n}", "payload": "body"}, "to": "endpoint"},
            {"from": "walrelay.outbox", "to": "none"},
        ],
    )
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(settings).wait_ready()
    db.sql("INSERT INTO plain SELECT n, 'row ' || n FROM generate_series(1, 15) n")
    db.sql("INSERT INTO plain VALUES (16, 'another transaction')")
    before = {request.body: request.headers["webhook-id"] for request in receiver.wait_for(16)}
    process.kill9()
    receiver.answer(Reply())
    gate.open()
    process.start(wait=True)
    after = {request.body: request.headers["webhook-id"] for request in receiver.wait_for(32)[16:]}
    assert after == before
    assert len(set(after.values())) == 16
    assert {request.headers["content-type"] for request in receiver.requests} == {"text/plain"}


def test_a_relay_that_is_frozen_for_longer_than_wal_sender_timeout_goes_on(
    new_cluster, new_db, receiver, relay
):
    database = new_db(new_cluster(wal_sender_timeout="1s"))
    process = relay(to_http(database, receiver)).wait_ready()
    emit(database, 0, 9)
    receiver.wait_for(10)
    given_up = "terminating walsender process due to replication timeout"
    before = database.cluster.log().count(given_up)
    process.pause()
    emit(database, 10, 19)
    until(
        lambda: database.cluster.log().count(given_up) > before,
        what="the server gives the frozen relay up",
    )
    process.resume()
    until(lambda: Arrivals.of(receiver.requests).distinct == set(range(20)), 15, "all rows")
    process.wait_ready()
    assert Arrivals.of(receiver.requests).differing == []


def test_a_relay_that_was_frozen_sends_nothing_once_another_one_had_the_slot(
    new_cluster, new_db, receiver, relay
):
    database = new_db(new_cluster(wal_sender_timeout="3s"))
    receiver.answer(Reply(503))
    settings = to_http(database, receiver, limits={"in_flight_events": 20})
    first = relay(settings).wait_ready()
    emit(database, 0, 199, keys=20)
    until(lambda: first.status()["limit_held_by"], what="it reads no further")
    receiver.wait_for(1)
    first.pause()
    receiver.answer(Reply())
    second = relay(settings).wait_ready(30)
    until(lambda: Arrivals.of(receiver.requests).distinct == set(range(200)), 30, "all rows")
    wait_all_acknowledged(database, 200)
    epochs = {request.headers["x-walrelay-epoch"] for request in receiver.requests}
    assert len(epochs) >= 2, "both have sent"
    before = len(receiver.requests)
    first.resume()
    first.wait_log("waiting until it is free", 30)
    assert receiver.requests[before:] == []
    assert second.running()


def test_a_relay_that_reads_no_further_sends_nothing_once_another_one_has_the_slot(
    db, receiver, relay
):
    stuck = receiver.gate()
    receiver.answer(
        lambda one: Reply(gate=stuck) if one.headers["x-walrelay-key"] == "k0" else Reply(delay=0.2)
    )
    limits = {"replay_events": 60, "in_flight_events": 60}
    settings = to_http(db, receiver, http={"connections": 2}, limits=limits)
    first = relay(settings).wait_ready()
    second = relay(settings)
    second.wait_log("waiting until it is free", 30)
    emit(db, 0, 199, keys=200)
    until(lambda: first.status()["limit_held_by"], what="its connection is not read any more")
    receiver.wait_for(2)
    db.sql("SELECT pg_terminate_backend(%s)", [db.slot_state()[0]])

    def epochs():
        return [request.headers["x-walrelay-epoch"] for request in receiver.requests]

    until(lambda: len(set(epochs())) >= 2, 30, "the other one sends")
    receiver.wait_for(len(epochs()) + 10)
    stuck.open()
    receiver.answer(Reply())
    until(lambda: Arrivals.of(receiver.requests).distinct == set(range(200)), 30, "all rows")
    wait_all_acknowledged(db, 200)
    of_first = epochs()[0]
    assert of_first not in itertools.dropwhile(lambda epoch: epoch == of_first, epochs())


@pytest.mark.every_major
def test_when_the_walsender_is_terminated_the_relay_goes_on(db, receiver, relay):
    receiver.answer(Reply(delay=0.001))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 0, 2999, keys=20)
    for threshold in (300, 1500):
        receiver.wait_for(threshold)
        db.sql("SELECT pg_terminate_backend(%s)", [db.slot_state()[0]])
    until(lambda: Arrivals.of(receiver.requests).distinct == set(range(3000)), 30, "all rows")
    until(lambda: process.metrics()["walrelay_reconnects_total"] >= 1, what="it connects anew")
    process.wait_ready()
    assert process.running()
    arrivals = Arrivals.of(receiver.requests)
    assert arrivals.differing == []
    for key, log in by_key(receiver.requests).items():
        assert skips(log) == [], key


@pytest.mark.every_major
def test_when_the_sql_connection_is_terminated_the_relay_goes_on(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    for number in range(5):
        emit(db, number)
        receiver.wait_for(number + 1)
        db.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
            " AND backend_type = 'client backend'",
            [db.relay_user],
        )
    process.wait_settled()
    arrivals = Arrivals.of(receiver.requests)
    assert arrivals.distinct == set(range(5))
    assert arrivals.differing == []
    assert process.running()


@pytest.mark.every_major
def test_an_immediate_restart_of_the_server_in_mid_flow_loses_nothing(
    new_cluster, new_db, receiver, relay
):
    database = new_db(new_cluster())
    receiver.answer(Reply(delay=0.001))
    process = relay(to_http(database, receiver, limits={"in_flight_events": 200})).wait_ready()
    total = write_transactions(database, 4000, [1, 30, 500])
    for threshold in (500, 1500):
        receiver.wait_for(threshold)
        database.cluster.restart("immediate")
    emit(database, total)
    until(
        lambda: Arrivals.of(receiver.requests).distinct == set(range(total + 1)), 30, "all rows"
    )
    process.wait_ready()
    assert Arrivals.of(receiver.requests).differing == []
    for key, log in by_key(receiver.requests).items():
        assert skips(log) == [], key


def test_with_synchronous_commit_off_a_server_crash_loses_nothing_and_the_relay_goes_on(
    new_cluster, new_db, receiver, relay
):
    # A writer that sleeps for ten seconds: what isn't flushed at commit is lost in the crash.
    server = new_cluster(wal_writer_delay="10s", bgwriter_lru_maxpages="0")
    database = new_db(server)
    database.sql(f"ALTER ROLE {database.relay_user} SET synchronous_commit = off")
    database.sql(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    process = relay(to_http(database, receiver)).wait_ready()
    count = 0
    for _ in range(3):
        with database.conn() as connection, connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            emit(database, count, count + 9, cursor=cursor)
        count += 10
        until(
            lambda: Arrivals.of(receiver.requests).distinct == set(range(count)), 20, "all rows"
        )
        process.wait_settled()
        acknowledged = position(process.status()["acked"])
        server.kill9()
        server.start()
        [[recorded]] = database.sql(
            "SELECT (safe_lsn - '0/0')::int8 FROM walrelay.progress WHERE slot = %s",
            [database.slot],
        )
        assert recorded >= acknowledged, "an acknowledgement outlived the record that covers it"
        process.wait_ready(20)
    assert process.running()
    assert Arrivals.of(receiver.requests).differing == []
