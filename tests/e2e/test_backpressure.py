"""Endpoints that don't take events, full limits, and memory."""

from support.events import Arrivals, commit_position, emit, to_discard, to_http
from support.receiver import Reply
from support.wait import stays, until

mebibyte = 1 << 20


def test_while_the_endpoint_answers_503_nothing_is_acknowledged_and_nothing_times_out(
    new_cluster, new_db, receiver, relay
):
    server = new_cluster(wal_sender_timeout="4s")
    receiver.answer(Reply(503))
    # One relay goes on reading, the other's reading is paused by a full limit.
    plain, paused = new_db(server), new_db(server)
    settings = {database: to_http(database, receiver) for database in (plain, paused)}
    settings[paused]["limits"] = {"in_flight_events": 50}
    for database in settings:
        settings[database]["sinks"]["endpoint"]["http"]["url"] += f"/{database.name}"
    processes = {database: relay(settings[database]) for database in settings}

    def requests_of(database):
        return [one for one in list(receiver.requests) if one.path.endswith(database.name)]

    for database, process in processes.items():
        process.wait_ready()
        for first in range(0, 200, 10):
            emit(database, first, first + 9, keys=10, bytes_each=2000)
    until(lambda: all(requests_of(database) for database in settings), what="requests")
    walsenders = {database: database.slot_state()[0] for database in settings}
    first_commit = {
        database: min(map(commit_position, requests_of(database))) for database in settings
    }

    def nothing_moves():
        states = {database: database.slot_state() for database in settings}
        return all(
            states[database][0] == walsenders[database]
            and states[database][1] <= first_commit[database]
            for database in settings
        )

    stays(nothing_moves, 6, "the slots stay where they are, and with whom")
    assert "replication timeout" not in server.log()
    for process in processes.values():
        process.wait_not_ready("HTTP 503")
    assert processes[paused].status()["limit_held_by"].startswith("limits.in_flight_events is full")
    receiver.answer(Reply())
    for database, process in processes.items():
        until(
            lambda: Arrivals.of(requests_of(database)).distinct == set(range(200)),
            90,  # the sink is asked once a minute at last
            lambda: f"all rows: {process.status()}",
        )
        process.wait_ready(30)
        last_commit = max(map(commit_position, requests_of(database)))
        until(lambda: database.slot_state()[1] > last_commit, what="all is acknowledged")
        assert Arrivals.of(requests_of(database)).differing == []
        assert process.metrics()["walrelay_reconnects_total"] == 0


def test_an_endpoint_that_cannot_be_reached_is_named(db, receiver, relay):
    settings = to_http(db, receiver)
    receiver.close()
    process = relay(settings).wait_ready()
    emit(db, 1)
    reason = process.wait_not_ready("endpoint")
    assert "refused" in reason.lower(), reason
    assert process.status()["in_flight_events"] == 1


def test_a_full_limit_names_the_limit_and_the_key_that_holds_it(more_dbs, receiver, relay):
    """Where no other key flows: beside others it would be set aside, and hold no limit."""
    receiver.answer(Reply(500))
    limits = [
        {"in_flight_events": 10},
        {"in_flight_bytes": "20KiB"},
        {"replay_events": 20},
    ]
    started = {}
    for limit in limits:
        database = more_dbs()
        [name] = limit
        started[f"limits.{name}"] = relay(to_http(database, receiver, limits=limit)).wait_ready()
        for number in range(0, 200, 10):
            emit(database, number, number + 9, keys=1, bytes_each=1000)
    for name, process in started.items():
        text = process.wait_not_ready(f"{name} is full")
        assert "sink endpoint" in text and "k0" in text and "HTTP 500" in text
        status = process.status()
        assert status["limit_held_by"].startswith(name)
        assert status["sinks"][0]["held_keys"] == 0, "it is alone"
    receiver.answer(Reply())
    for process in started.values():
        until(lambda: process.delivered("endpoint") == 200, 30, "all rows")
        process.wait_ready(30)


def test_a_million_rows_in_one_transaction_stay_within_the_memory_limit(db, relay):
    count = 1_000_000
    process = relay(to_discard(db)).wait_ready()
    emit(db, 1, count, keys=1000, bytes_each=200)
    until(
        lambda: process.delivered("nothing") == count,
        120,
        lambda: f"{count} rows: {process.status()}",
        every=0.2,
    )
    process.wait_settled()
    assert process.peak_memory() < 48 * mebibyte


def test_memory_does_not_grow_with_what_waits_for_an_endpoint(db, receiver, relay):
    receiver.answer(Reply(503))
    limits = {"in_flight_bytes": "8MiB"}
    process = relay(to_http(db, receiver, limits=limits)).wait_ready()
    for first in range(0, 50_000, 10_000):
        emit(db, first, first + 9_999, keys=1000, bytes_each=1000)
    until(lambda: "in_flight_bytes" in process.status()["limit_held_by"], 30, "reading is paused")
    assert process.status()["in_flight_bytes"] <= 8 * mebibyte + 2000
    stays(lambda: process.status()["in_flight_bytes"] <= 8 * mebibyte + 2000, 1)
    assert process.peak_memory() < 48 * mebibyte
