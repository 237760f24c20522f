"""Rows of walrelay.parked that are odd, damaged or refused again, and a store that refuses them."""

import json

from support.events import emit, numbers, outbox_to, to_http
from support.parked import mark, refuses, waiting
from support.receiver import Reply
from support.relay import run_command
from support.wait import stays, until


def test_a_store_that_refuses_is_asked_again_over_the_same_connection(db, receiver, relay):
    """A new session each second is work for the server, and helps only where the old one is lost."""
    def sessions():
        return db.sql("SELECT pid FROM pg_stat_activity WHERE application_name = %s"
                      " AND backend_type = 'client backend'", [f"walrelay {db.slot}"])

    receiver.answer(refuses(1))
    process = relay(to_http(db, receiver)).wait_ready()
    db.sql("REVOKE INSERT ON walrelay.parked FROM walrelay_relay")
    emit(db, 1, 3)
    process.wait_not_ready("permission denied for table parked", 30)
    # One that was idle for 10 s is closed: its process may end after the next one has begun.
    until(lambda: len(sessions()) == 1, what="one session")
    before = sessions()
    stays(lambda: sessions() == before, 4, "one session")
    db.sql("GRANT INSERT ON walrelay.parked TO walrelay_relay")
    until(lambda: waiting(db) == [(1, "parked", "endpoint")], 15, "it is set aside in the end")


def test_a_row_that_was_damaged_in_the_table_is_named_and_the_others_are_sent(
    db, receiver, relay
):
    receiver.answer(refuses(1, 2, 3, 4))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 4, keys=4)
    until(lambda: len(waiting(db)) == 4, 30, "they are set aside")
    of_event = " WHERE position(convert_to(%s, 'UTF8') in message) > 0"
    db.sql("UPDATE walrelay.parked SET xid = -1" + of_event, ['"n": 1}'])
    db.sql("UPDATE walrelay.parked SET message = substr(message, 1, length(message) - 3)"
           + of_event, ['"n": 3}'])
    receiver.answer(Reply())
    since = len(receiver.requests)
    mark(db, process.file, "redrive", "--all")
    until(lambda: len(receiver.requests) == since + 2, 20, "the others are sent")
    assert sorted(numbers(receiver.requests[since:])) == [2, 4]

    def states():
        return db.sql("SELECT state, error LIKE '%a row of walrelay.parked%'"
                      " FROM walrelay.parked ORDER BY lsn, ordinal")

    until(lambda: states() == [("parked", True), ("delivered", False)] * 2, 10,
          "the damaged ones are parked again and say why")
    process.wait_log("is parked again: read a row of walrelay.parked")
    assert process.ready()


def test_a_damaged_row_that_no_route_took_does_not_keep_the_others_of_a_redrive(
    db, receiver, relay
):
    settings = to_http(db, receiver)
    settings["routes"] = [outbox_to("endpoint", where={"topic": "other"})]
    process = relay(settings).wait_ready()
    emit(db, 1, 3)
    until(lambda: len(waiting(db)) == 3, what="they are set aside")
    db.sql("UPDATE walrelay.parked SET xid = -1 WHERE id = (SELECT min(id) FROM walrelay.parked)")
    db.sql("UPDATE walrelay.parked SET message = 'Z' WHERE id ="
           " (SELECT max(id) FROM walrelay.parked)")
    assert process.stop() == 0
    process.configure(to_http(db, receiver))
    process.start(wait=True)
    mark(db, process.file, "redrive", "--all")
    until(lambda: numbers(receiver.requests) == [2], 20, "the one that can be read is sent")
    until(
        lambda: db.value("SELECT count(*) FROM walrelay.parked WHERE state = 'parked'"
                         " AND error LIKE 'read a row of walrelay.parked: %'") == 2,
        what="the others say why they are not",
    )


def test_a_redriven_event_has_all_its_attempts_again(db, receiver, relay):
    receiver.answer(refuses(1, status=503))
    process = relay(to_http(db, receiver, retry={"max_attempts": 3})).wait_ready()

    def tried():
        return [one for one in receiver.requests if json.loads(one.body)["n"] == 1]

    emit(db, 1, 4, keys=4)
    until(lambda: waiting(db) == [(1, "parked", "endpoint")], 20, "it is set aside")
    assert len(tried()) == 3
    mark(db, process.file, "redrive", "--all")
    until(lambda: len(tried()) >= 6, 30, "it is tried three times more")
    until(lambda: waiting(db) == [(1, "parked", "endpoint")], 20, "and set aside again")
    assert [one.headers["x-walrelay-attempt"] for one in tried()] == ["1", "2", "3"] * 2


def test_an_event_that_could_not_be_built_is_found_by_its_key(db, receiver, relay):
    """The row says what it can: its key and type, where its body or its route is at fault."""
    settings = to_http(db, receiver)
    settings["routes"] = [outbox_to("endpoint", where={"topic": "t"})]
    process = relay(settings).wait_ready()
    db.sql("INSERT INTO walrelay.outbox (topic, key, type, payload, raw)"
           " VALUES ('t', 'two bodies', 'made', '{}', 'x')")
    db.sql("INSERT INTO walrelay.outbox (topic, key, type, payload)"
           " VALUES ('elsewhere', 'no route', 'made', '{}')")
    rows = "SELECT key, type, destination FROM walrelay.parked ORDER BY lsn"
    until(lambda: len(db.sql(rows)) == 2, 20, "both are set aside")
    assert db.sql(rows) == [("two bodies", "made", "/in"), ("no route", "made", "")]
    for key in ("two bodies", "no route"):
        found = run_command("parked", "list", "--key", key, "-o", "json", "-c", process.file)
        assert [one["key"] for one in json.loads(found.stdout)["rows"]] == [key], found
