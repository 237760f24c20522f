"""Events that can't be delivered, and keys that are stuck, are set aside and come back."""

import collections
import contextlib
import json

import pytest

from support.events import by_key, commit_position, emit, numbers, outbox_to, to_http
from support.parked import mark, refuses, waiting
from support.receiver import Reply
from support.records import to_kafka
from support.relay import config
from support.wait import stays, until


def fails_key(key, status=500):
    return lambda request: Reply(
        status if request.headers.get("x-walrelay-key") == key else 200
    )


@pytest.mark.every_major
def test_a_refused_event_is_parked_the_rest_goes_on_and_a_redrive_sends_it_with_its_id(
    db, receiver, relay
):
    receiver.answer(refuses(2))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 5)
    until(lambda: waiting(db) == [(2, "parked", "endpoint")], 25, "it is set aside")
    until(lambda: set(numbers(receiver.requests)) == {1, 2, 3, 4, 5}, what="the rest arrives")
    refused = [one for one in receiver.requests if json.loads(one.body)["n"] == 2]
    assert len(refused) == 3
    until(lambda: db.slot_state()[1] > commit_position(refused[0]), what="it holds no WAL")
    assert process.ready()
    process.wait_log(f"id {refused[0].headers['webhook-id']}.*HTTP 422")
    status = process.status()["sinks"][0]
    assert (status["parked"], status["held"]) == (1, 0)
    [row] = db.sql("SELECT event_id, key, error, attempts, destination FROM walrelay.parked")
    assert row == (refused[0].headers["webhook-id"], "k0", "HTTP 422 Unprocessable Entity", 3, "/in")

    receiver.answer(Reply())
    sent = len(receiver.requests)
    mark(db, process.file, "redrive", "--all")
    [again] = receiver.wait_for(sent + 1)[sent:]
    assert again.body == refused[0].body
    assert again.headers["webhook-id"] == refused[0].headers["webhook-id"]
    assert again.headers["x-walrelay-redriven"] == "true"
    assert "x-walrelay-redriven" not in refused[0].headers
    until(lambda: waiting(db) == [(2, "delivered", "endpoint")], what="it is marked delivered")


@pytest.mark.parametrize("rows_come", ["before the mark is read", "before it is applied"])
def test_with_park_key_the_events_of_the_key_wait_in_order_until_the_operator_decides(
    db, receiver, relay, rows_come
):
    receiver.answer(refuses(1))
    settings = to_http(db, receiver, on_event_error="park_key")
    process = relay(settings).wait_ready()
    emit(db, 1, 4, keys=1)
    until(lambda: (1, "parked", "endpoint") in waiting(db), 25, "its head is parked")
    emit(db, 5, 6, keys=1)
    db.sql("SELECT walrelay.emit('t', '{\"n\": 100}', key => 'other')")
    until(lambda: 100 in numbers(receiver.requests), what="another key goes on")
    until(lambda: len(waiting(db, "held")) == 5, what="its successors wait")
    assert set(numbers(receiver.requests)) == {1, 100}
    assert process.ready()

    receiver.answer(Reply())
    if rows_come == "before the mark is read":
        process.pause()
        emit(db, 7, keys=1)
        mark(db, process.file, "redrive", "--key", "k0")
        emit(db, 8, keys=1)
        process.resume()
    else:
        emit(db, 7, keys=1)
        with contextlib.closing(db.conn(autocommit=False)) as link:
            link.cursor().execute("SELECT FROM walrelay.parked FOR UPDATE")
            mark(db, process.file, "redrive", "--key", "k0")
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            until(lambda: db.value(waits) > 0, what="the relay waits to apply the mark")
            emit(db, 8, keys=1)
            link.commit()
    emit(db, 9, keys=1)
    until(lambda: 9 in numbers(receiver.requests), 20, "the key is live again")
    order = [n for n in by_key(receiver.requests)["k0"]]
    assert order[-9:] == [1, 2, 3, 4, 5, 6, 7, 8, 9], order
    until(lambda: process.status()["sinks"][0]["held_keys"] == 0, what="it is live")


def test_c9_a_key_that_answers_500_beside_others_holds_no_wal_and_heals_complete_and_in_order(
    db, receiver, relay
):
    receiver.answer(fails_key("k0"))
    settings = to_http(db, receiver, limits={"hold": "1s"})
    process = relay(settings).wait_ready()
    for first in range(0, 200, 20):
        emit(db, first, first + 19, keys=4)
    until(lambda: process.status()["sinks"][0]["held_keys"] == 1, 30, "the key is held")
    emit(db, 200, 299, keys=4)
    others = {n for n in range(300) if n % 4}
    until(lambda: others <= set(numbers(receiver.requests)), 20, "the other keys flow")
    position = db.wal_position()
    db.sql("SELECT walrelay.emit('t', '{\"n\": 1000}', key => 'k1')")
    until(lambda: db.slot_state()[1] > position, 20, "nothing holds WAL")
    assert process.ready(), "a held key is no reason to be not ready"
    until(lambda: process.status()["in_flight_events"] == 0, what="nothing waits in memory")
    held = [
        value
        for name, value in process.metrics().items()
        if name.startswith("walrelay_events_parked_total") and 'class="held"' in name
    ]
    assert sum(held) >= 25

    receiver.answer(Reply())
    until(lambda: 296 in numbers(receiver.requests), 90, "it has healed")
    heads = [n for n in by_key(receiver.requests)["k0"] if n < 300]
    delivered = heads[heads.index(4) - 1 :]
    assert delivered == list(range(0, 300, 4)), "all that waited, in order, once"
    until(lambda: process.status()["sinks"][0]["held_keys"] == 0, what="the key is live again")
    emit(db, 300, keys=1)
    until(lambda: 300 in numbers(receiver.requests), what="it is sent at once")


def test_an_outage_of_the_whole_sink_moves_nothing(db, receiver, relay):
    process = relay(to_http(db, receiver, limits={"hold": "1s"})).wait_ready()
    emit(db, 0, 19, keys=10)
    receiver.wait_for(20)
    receiver.answer(Reply(503))
    emit(db, 20, 119, keys=10)
    process.wait_not_ready("HTTP 503")
    stays(lambda: waiting(db) == [], 4, "the WAL is its buffer")
    receiver.answer(Reply())
    until(lambda: set(numbers(receiver.requests)) == set(range(120)), 70, "all of it")
    assert waiting(db) == []


def test_a_hot_key_that_is_merely_slow_leaves_the_others_their_memory(db, receiver, relay):
    receiver.answer(
        lambda request: Reply(
            delay=0.1 if request.headers.get("x-walrelay-key") == "k0" else 0
        )
    )
    process = relay(to_http(db, receiver, limits={"in_flight_events": 60})).wait_ready()
    emit(db, 0, 199, keys=1)
    db.sql(
        "SELECT walrelay.emit('t', jsonb_build_object('n', n), key => 'quick')"
        " FROM generate_series(1000, 1039) n"
    )
    # It is read when the slow key's rows before it fit into the window: after 14 s at the earliest.
    until(lambda: 1039 in numbers(receiver.requests), 60, "the other key passes")
    came = numbers(receiver.requests)
    slow = [n for n in came[: came.index(1039)] if n < 1000]
    assert len(slow) < 190, "the slow key is far behind"
    until(lambda: 199 in numbers(receiver.requests), 60, "and arrives in the end")
    assert [n for n in numbers(receiver.requests) if n < 1000] == list(range(200))
    until(lambda: process.status()["sinks"][0]["held_keys"] == 0, what="it is live again")


def test_a_receiver_that_answers_400_to_everything_parks_twenty_events_and_then_stalls(
    db, receiver, relay
):
    receiver.answer(Reply(400))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 0, 499, keys=500)
    process.wait_not_ready("sink endpoint stalls: HTTP 400", 30)
    until(lambda: len(waiting(db)) == 20, what="twenty are written down")
    stays(lambda: len(waiting(db)) == 20, 3, "no more of them")
    parked = {number for number, state, _ in waiting(db) if state == "parked"}
    assert len(parked) == 20
    accepted = []

    def accepts(request):
        accepted.append(request)
        return Reply()

    receiver.answer(accepts)
    until(lambda: len(accepted) >= 480, 90, "the rest when it works")
    assert sorted(numbers(accepted)) == sorted(set(range(500)) - parked)
    assert {number for number, _, _ in waiting(db)} == parked
    mark(db, process.file, "redrive", "--all")
    until(lambda: len(waiting(db, "delivered")) == 20, 30, "and what was parked")
    assert sorted(numbers(accepted)) == list(range(500))


def recorded_position(db):
    return db.value("SELECT safe_lsn FROM walrelay.progress WHERE slot = %s", [db.slot])


@contextlib.contextmanager
def record_refused(db):
    """A relay's record can't be written. Behind a lock it would wait, and what is set aside too."""
    db.sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
           " AS $$BEGIN RAISE 'not now'; END$$")
    db.sql("CREATE TRIGGER refuse BEFORE UPDATE ON walrelay.progress"
           " FOR EACH ROW EXECUTE FUNCTION refuse()")
    yield
    db.sql("DROP FUNCTION refuse CASCADE")


def test_while_a_lock_keeps_the_record_from_being_written_events_are_still_set_aside(
    db, receiver, relay
):
    process = relay(to_http(db, receiver, limits={"event_bytes": "2KiB"})).wait_ready()
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        connection.cursor().execute("SELECT FROM walrelay.progress FOR SHARE")
        recorded = recorded_position(db)
        emit(db, 1)
        receiver.wait_for(1)
        locked = "SELECT 1 FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'"
        until(lambda: db.sql(locked, [db.relay_user]), what="the record waits for the lock")
        emit(db, 2, bytes_each=3000)
        until(lambda: waiting(db) == [(2, "parked", "endpoint")], 20, "one is parked")
        assert recorded_position(db) == recorded
        process.wait_not_ready("progress can't be recorded: .*lock timeout")
        emit(db, 3, bytes_each=3000)
        until(lambda: len(waiting(db)) == 2, 20, "another one")
        stays(lambda: not process.ready(), 6, "what can be set aside doesn't hide that")
        assert process.log().count("lock timeout") == 1, "it is said once"
    process.wait_ready()
    process.wait_log("progress is recorded again")


def arrivals(receiver):
    """Pairs of the number of an event and how often it came."""
    return collections.Counter(numbers(receiver.requests)).items()


def test_after_kill_9_held_events_are_merged_with_the_stream_and_the_newest_is_last(
    db, receiver, relay
):
    receiver.answer(fails_key("k0"))
    process = relay(to_http(db, receiver, limits={"hold": "1s"})).wait_ready()
    emit(db, 0, 79, keys=4)
    until(lambda: process.status()["sinks"][0]["held_keys"] == 1, 30, "the key is held")
    for first in range(80, 160, 20):
        with record_refused(db):
            recorded = recorded_position(db)
            for n in range(first, first + 20):
                emit(db, n, keys=4)
            held = [(n, "held", "endpoint") for n in range(0, first + 20, 4)]
            until(lambda held=held: waiting(db) == held, 20, "those of the key are set aside")
            others = {n for n in range(first, first + 20) if n % 4}
            until(lambda others=others: others <= set(numbers(receiver.requests)), what="delivered")
            assert recorded_position(db) == recorded, "and none of it is recorded"
            process.kill9()
            # A server process of it may still be about to write the record.
            its = "FROM pg_stat_activity WHERE usename = %s"
            db.sql(f"SELECT pg_terminate_backend(pid) {its}", [db.relay_user])
            until(lambda: not db.sql(f"SELECT {its}", [db.relay_user]), what="it is gone")
        assert recorded_position(db) == recorded
        process.start()
        process.wait_ready(30)
        until(
            lambda others=others: others <= {n for n, times in arrivals(receiver) if times > 1},
            20,
            "the others come again: all of it is read again",
        )
        assert waiting(db) == held, "each has its place once"
    receiver.answer(Reply())
    until(lambda: process.status()["sinks"][0]["held_keys"] == 0, 60, "the key is live again")
    emit(db, 160, 163, keys=4)
    until(lambda: set(numbers(receiver.requests)) == set(range(164)), 20, "all of it")
    for key, arrived in by_key(receiver.requests).items():
        assert arrived[-1] == max(arrived), f"{key}: the last is the newest"


def test_an_event_for_two_sinks_is_set_aside_only_for_the_one_that_refused_it(
    db, receiver, other_receiver, relay
):
    receiver.answer(refuses(1))
    sinks = {
        "strict": {"http": {"url": receiver.url}},
        "kind": {"http": {"url": other_receiver.url}},
    }
    process = relay(config(db, sinks, [outbox_to(["strict", "kind"])])).wait_ready()
    emit(db, 1, 2)
    until(lambda: waiting(db) == [(1, "parked", "strict")], 25, "it is set aside")
    assert numbers(other_receiver.wait_for(2)) == [1, 2]
    receiver.answer(Reply())
    mark(db, process.file, "redrive", "--sink", "strict")
    until(lambda: waiting(db) == [(1, "delivered", "strict")], what="it is sent again")
    assert numbers(other_receiver.requests) == [1, 2], "and only to the one"


def test_a_row_that_no_route_takes_is_parked_and_a_redrive_takes_the_routes_of_that_day(
    db, receiver, relay
):
    settings = to_http(db, receiver)
    settings["routes"] = [outbox_to("endpoint", where={"topic": "other"})]
    process = relay(settings).wait_ready()
    emit(db, 1)
    until(lambda: waiting(db) == [(1, "parked", "")], what="it is set aside")
    assert process.ready()
    process.wait_log("no route takes it")
    assert process.status()["parked_without_route"] == 1
    assert process.stop() == 0
    process.configure(to_http(db, receiver))
    process.start(wait=True)
    mark(db, process.file, "redrive", "--all")
    until(lambda: numbers(receiver.requests) == [1], what="it goes where it goes today")
    until(
        lambda: waiting(db) == [(1, "delivered", ""), (1, "delivered", "endpoint")],
        what="both rows say so",
    )


def test_what_cannot_be_set_aside_is_not_acknowledged(db, receiver, relay):
    receiver.answer(refuses(1))
    process = relay(to_http(db, receiver)).wait_ready()
    db.sql("REVOKE INSERT ON walrelay.parked FROM walrelay_relay")
    emit(db, 1, 3)
    process.wait_not_ready("permission denied for table parked", 30)
    refused = [one for one in receiver.requests if json.loads(one.body)["n"] == 1]
    stays(lambda: db.slot_state()[1] <= commit_position(refused[0]), 2, "it keeps its WAL")
    db.sql("GRANT INSERT ON walrelay.parked TO walrelay_relay")
    until(lambda: waiting(db) == [(1, "parked", "endpoint")], 15, "it is set aside in the end")
    until(lambda: db.slot_state()[1] > commit_position(refused[0]), what="and acknowledged")
    process.wait_ready()


def test_an_event_counts_as_parked_again_once_and_only_when_the_table_says_so(
    db, receiver, relay
):
    receiver.answer(refuses(1))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1)
    until(lambda: waiting(db) == [(1, "parked", "endpoint")], 25, "it is set aside")
    gate = receiver.gate()
    receiver.answer(Reply(422, gate=gate))
    sent = len(receiver.requests)
    mark(db, process.file, "redrive", "--all")
    receiver.wait_for(sent + 1)
    db.sql("REVOKE UPDATE ON walrelay.parked FROM walrelay_relay")
    gate.open()
    process.wait_log("permission denied for table parked", 30)
    stays(lambda: process.status()["sinks"][0]["parked"] == 1, 3, "it isn't written")
    db.sql("GRANT UPDATE ON walrelay.parked TO walrelay_relay")
    until(lambda: waiting(db) == [(1, "parked", "endpoint")], 20, "it is parked again")
    until(lambda: process.status()["sinks"][0]["parked"] == 2, what="and counted")
    assert process.log().count("is parked again") == 1


def test_dropped_events_never_come_and_their_key_goes_on(db, receiver, relay):
    receiver.answer(refuses(1))
    process = relay(to_http(db, receiver, on_event_error="park_key")).wait_ready()
    emit(db, 1, 3, keys=1)
    until(lambda: len(waiting(db)) == 3, 25, "the key waits")
    [identity] = db.sql("SELECT id FROM walrelay.parked WHERE state = 'parked'")[0]
    mark(db, process.file, "drop", str(identity))
    until(lambda: numbers(receiver.requests)[-2:] == [2, 3], 15, "its successors are sent")
    assert waiting(db, "dropped") == [(1, "dropped", "endpoint")]
    process.kill9()
    process.start(wait=True)
    emit(db, 4, keys=1)
    until(lambda: 4 in numbers(receiver.requests), what="it goes on")
    assert numbers(receiver.requests).count(1) == 3, "only the three refusals"


def test_a_limit_of_attempts_parks_what_may_pass_but_not_while_the_sink_is_down(
    db, receiver, relay
):
    receiver.answer(refuses(1, status=503))
    process = relay(to_http(db, receiver, retry={"max_attempts": 2})).wait_ready()
    emit(db, 1, 4, keys=4)
    alone = [(1, "parked", "endpoint")]
    until(lambda: waiting(db) == alone, 20, "it is set aside")
    [[attempts]] = db.sql("SELECT attempts FROM walrelay.parked")
    assert attempts == 2

    # Five keys fail before the second attempt of any: from then on the sink is to blame, and what
    # its probes meet counts for no event, though each is the last that an event has. With their
    # first attempts on the wire together the bound is none; else it were the first four keys.
    gate = receiver.gate()
    receiver.answer(Reply(503, gate=gate))
    before = len(receiver.requests)
    emit(db, 10, 19, keys=10)
    receiver.wait_for(before + 10)
    receiver.answer(Reply(503))
    gate.open()
    process.wait_not_ready("sink endpoint stalls: HTTP 503")

    def probed():
        again = [one for one in receiver.requests[before:] if one.headers["x-walrelay-attempt"] > "1"]
        return len(again) > 3  # so that three are answered

    until(probed, 20, "last attempts are made")
    assert waiting(db) == alone, "an outage isn't the events' fault"
    stays(lambda: waiting(db) == alone, 0.5, "nor is it later")
    receiver.answer(Reply())
    until(lambda: process.delivered("endpoint") == 13, 90, "all the others arrive")
    assert waiting(db) == alone


def test_into_kafka_a_record_that_is_too_large_is_parked_and_redriven_with_a_header(
    db, broker, relay
):
    topic = broker.create_topic()
    process = relay(
        to_kafka(db, broker, topic, kafka={"properties": {"message.max.bytes": "2000"}})
    ).wait_ready()
    emit(db, 1, keys=1)
    emit(db, 2, keys=1, bytes_each=3000)
    emit(db, 3, keys=1)
    until(lambda: waiting(db, "parked") == [(2, "parked", "events")], 20, "it is set aside")
    assert len(broker.consume(topic, 2)) == 2
    assert process.stop() == 0
    process.configure(to_kafka(db, broker, topic))
    process.start(wait=True)
    mark(db, process.file, "redrive", "--all")
    again = broker.consume(topic, 3)[-1]
    assert json.loads(again.value)["n"] == 2
    assert again.header("walrelay-redriven") == "true"
    until(lambda: waiting(db, "delivered") == [(2, "delivered", "events")], what="it says so")
