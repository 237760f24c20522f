"""`walrelay tail`: what would be sent, shown from a temporary slot while nothing is delivered."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

from support import canary
from support.events import emit, outbox_to, to_stdout
from support.processes import alive, kill, spawn
from support.relay import binary, config, run_command
from support.wait import stays, until


class Tail:
    """`walrelay tail` with a configuration (a dict); what it says goes to files of the folder."""

    def __init__(self, settings, folder, arguments=(), ready=True, stdout=None):
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "walrelay.yaml").write_text(json.dumps(settings), encoding="utf-8")
        with open(folder / "stdout", "wb") as output, open(folder / "stderr", "wb") as errors:
            self.process = spawn(
                [binary(), "tail", "-c", str(folder / "walrelay.yaml"), *arguments],
                stdout=stdout or output,
                stderr=errors,
            )
        if ready:
            self.wait_said("following from LSN ")

    def said(self):
        return (self._folder / "stderr").read_text(encoding="utf-8")

    def wait_said(self, text, deadline=20):
        def look():
            assert self.process.poll() is None or text in self.said(), self.said()
            return text in self.said()

        until(look, deadline, lambda: f"tail says {text!r}: {self.said()}")

    def shown(self):
        return (self._folder / "stdout").read_text(encoding="utf-8")

    def wait_shown(self, text, deadline=20):
        until(lambda: text in self.shown(), deadline, lambda: f"{text!r} is shown: {self.shown()}")
        return self.shown()

    def events(self, count=None, deadline=20):
        """The JSON lines, once at least `count` are there."""

        def lines():
            return [line for line in self.shown().splitlines(keepends=True) if line[-1] == "\n"]

        if count is not None:
            until(
                lambda: len(lines()) >= count,
                deadline,
                lambda: f"{count} lines:\n{self.shown()}\n{self.said()}",
            )
        return [json.loads(line) for line in lines()]

    def ends(self, deadline=20):
        """The exit code, once it has ended by itself."""
        until(lambda: self.process.poll() is not None, deadline, lambda: f"it ends: {self.said()}")
        return self.process.returncode

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.ends()

    def close(self):
        kill(self.process)
        canary.look_for({"tail": self.shown(), "its messages": self.said()})


@pytest.fixture
def tail(tmp_path):
    """tail(settings, '-o', 'json'): starts one and waits until it follows."""
    made = []

    def make(settings, *arguments, **options):
        made.append(Tail(settings, tmp_path / f"tail{len(made)}", arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def tail_slots(database):
    return database.sql(
        "SELECT slot_name, temporary FROM pg_replication_slots"
        " WHERE slot_name LIKE 'walrelay_tail_%%' AND database = %s",
        [database.name],
    )


def slots_are_gone(database):
    until(lambda: tail_slots(database) == [], 10, "the temporary slot is gone")


def wire_headers(request):
    """Name and value of each header line, in order, without what time changes."""
    lines = request.head.decode("latin-1").split("\r\n")[1:-2]
    pairs = [tuple(line.split(": ", 1)) for line in lines]
    return [pair for pair in pairs if pair[0] not in ("webhook-timestamp", "webhook-signature")]


@pytest.mark.every_major
def test_a_request_is_shown_as_a_relay_beside_it_sends_it(db, receiver, relay, tail):
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    sink = {
        "http": {
            "url": receiver.url + "/hooks/{type}?k={key}",
            "headers": {"authorization": "Bearer t0p-s3cret", "x-team": "s3cret too"},
            "signing": [secret],
        }
    }
    settings = config(db, {"workers": sink}, [outbox_to("workers")])
    process = relay(settings).wait_ready()
    shown = tail(settings, "-o", "json")
    assert "; nothing is delivered" in shown.said()
    assert [temporary for _, temporary in tail_slots(db)] == [True]
    db.sql(
        "SELECT walrelay.emit('t', '{\"a\": 1.10}', 'Zürich', 'order.paid', '{\"tenant\": \"b\"}')"
    )
    [event] = shown.events(1)
    [request] = receiver.wait_for(1)
    assert event["sink"] == "workers" and event["table"] == "walrelay.outbox"
    assert event["key"] == "Zürich" and event["type"] == "order.paid"
    assert event["url"] == receiver.url + request.path
    assert event["payload"] == {"a": 1.10}
    assert event["id"] == request.headers["webhook-id"]
    masked = {"authorization": "***", "x-team": "***", "x-canary": "***"}
    sent = [(name, masked.get(name, value)) for name, value in wire_headers(request)]
    both = [pair for pair in event["headers"].items() if pair in sent]
    assert both == sent, f"the same headers in the same order: {event['headers']}"
    assert set(event["headers"]) - {name for name, _ in sent} == {
        "webhook-timestamp",
        "webhook-signature",
    }
    assert "s3cret" not in shown.shown() + shown.said()
    assert shown.stop() == 0
    slots_are_gone(db)
    assert len(receiver.requests) == 1 and process.running()


def test_a_record_is_shown_as_a_relay_beside_it_sends_it(db, broker, relay, tail):
    topic = broker.create_topic()
    sink = {"kafka": {"brokers": broker.bootstrap, "metadata": True}}
    settings = config(db, {"events": sink}, [outbox_to("events", topic=topic)])
    relay(settings).wait_ready()
    shown = tail(settings, "-o", "json")
    db.sql("SELECT walrelay.emit('t', '{\"a\": 1}', 'k', 'paid', '{\"tenant\": null}')")
    [event] = shown.events(1)
    [record] = broker.consume(topic, 1)
    sent = {name: value and value.decode() for name, value in record.headers}
    assert int(sent.pop("walrelay-epoch")) > 0
    assert event["headers"].pop("walrelay-epoch") == "0", "only the holder of the slot has one"
    assert list(event["headers"].items()) == list(sent.items())
    assert event["topic"] == topic and event["key"] == record.key.decode()
    assert json.dumps(event["payload"]).encode() == record.value


@pytest.mark.every_major
def test_nothing_is_delivered_and_the_relays_slot_need_not_exist(db, receiver, tail):
    confirmed = db.slot_state()
    settings = config(db, {"workers": {"http": {"url": receiver.url}}}, [outbox_to("workers")])
    settings["source"]["slot"] = "not_made_yet"
    shown = tail(settings, "-o", "json")
    emit(db, 1, 100)
    events = shown.events(100)
    assert [event["payload"]["n"] for event in events] == list(range(1, 101))
    assert receiver.connections == 0, "no sink is connected to"
    assert db.slot_state() == confirmed, "another slot is not touched"
    assert db.sql("SELECT * FROM walrelay.progress") == []
    assert shown.stop(signal.SIGTERM) == 0
    slots_are_gone(db)


def test_the_text_form_has_a_block_for_each_event_and_a_part_for_each_sink(db, receiver, tail):
    sinks = {
        "workers": {"http": {"url": receiver.url + "/{type}"}},
        "console": {"stdout": {}},
        "nothing": {"discard": {}},
    }
    shown = tail(config(db, sinks, [outbox_to(["workers", "console", "nothing"])]), "--count", "2")
    long_text = "x" * 200_000
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "INSERT INTO walrelay.outbox (topic, type, raw) VALUES ('t', 'bytes', '\\xff00')"
        )
        cursor.execute(
            "INSERT INTO walrelay.outbox (topic, key, type, payload)"
            " VALUES ('t', E'a\\x1b[2Jb', 'text', to_jsonb(%s::text))",
            [long_text],
        )
        connection.commit()
    assert shown.ends() == 0
    text = shown.shown()
    first, second = text.split("walrelay.outbox ")[1:]
    event = db.value("SELECT id::text FROM walrelay.outbox WHERE type = 'bytes'")
    assert first.split("\n")[0].endswith(f" row 0, id {event}")
    assert second.split("\n")[0].partition(" ")[2].startswith("row 1, id ")
    assert f"  to workers (http)\n    url      {receiver.url}/bytes\n    key      NULL\n" in first
    assert "    type     bytes\n    headers  Host: 127.0.0.1" in first
    assert first.count("    body     2 bytes in base64: /wA=\n") == 3
    assert "  to console (stdout)\n" in first and "  to nothing (discard)\n" in first
    assert "    key      a\\x1b[2Jb\n" in second and "\x1b" not in text
    assert long_text in second, "a long body is shown whole"


def test_what_is_not_sent_is_shown_with_its_reason(db, tail):
    db.sql("CREATE TABLE public.legacy (id int, title text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE public.legacy")
    sinks = {"events": {"kafka": {"brokers": "127.0.0.1:1"}}}
    routes = [
        {"from": "public.legacy", "to": "events", "topic": "legacy",
         "shape": {"id": "{id}", "payload": "title"}},
        outbox_to("none", where={"topic": "quiet"}),
        outbox_to("events", where={"topic": ["orders.*", "billing*"]}, topics=["orders.*"]),
    ]
    shown = tail(config(db, sinks, routes), "-o", "json")
    ids = [db.value("SELECT walrelay.emit(%s, '{}')::text", [topic])
           for topic in ("quiet", "stray", "billing", "orders.a")]
    db.sql("ALTER TABLE public.legacy RENAME COLUMN title TO name")
    db.sql("INSERT INTO public.legacy VALUES (7, 'x')")
    quiet, stray, billing, order, renamed = shown.events(5)
    assert [event["id"] for event in (quiet, stray, billing, order)] == ids
    assert quiet["not_sent"] == "discarded" and quiet["sink"] is None
    assert "walrelay.yaml:" in quiet["reason"] and "to: none" in quiet["reason"]
    assert stray["not_sent"] == "event_error" and "no route takes it" in stray["reason"]
    assert billing["not_sent"] == "event_error" and billing["sink"] == "events"
    assert "topic" in billing["reason"]
    assert order["topic"] == "orders.a" and "not_sent" not in order
    assert renamed["not_sent"] == "event_error" and renamed["table"] == "public.legacy"
    assert 'column "title"' in renamed["reason"]
    assert re.fullmatch(r"[0-9A-F]{16}-\d+-0", renamed["id"]), "its place in the WAL"
    assert shown.stop() == 0


def test_messages_are_shown_where_a_route_names_their_prefix(db, tail):
    settings = to_stdout(db)
    settings["routes"].append({"from": "message:audit", "to": "console"})
    shown = tail(settings, "-o", "json", "--count", "3")
    db.sql("SELECT pg_logical_emit_message(false, 'audit', 'alone')")
    db.sql(
        "SELECT pg_logical_emit_message(true, 'nobody', 'x'),"
        " pg_logical_emit_message(true, 'audit', 'first'),"
        " pg_logical_emit_message(true, 'audit', 'second')"
    )
    assert shown.ends() == 0
    events = shown.events()
    assert [event["table"] for event in events] == ["message:audit"] * 3
    bodies = [event.get("payload") or base64.b64decode(event["payload_base64"]).decode()
              for event in events]
    assert bodies == ["alone", "first", "second"]


def test_it_ends_after_the_events_that_were_asked_for(db, tail):
    shown = tail(to_stdout(db), "-o", "json", "--count", "3")
    emit(db, 1, 1000)
    assert shown.ends() == 0
    assert [event["payload"]["n"] for event in shown.events()] == [1, 2, 3]
    slots_are_gone(db)
    for wrong in ("0", "-1", "x", "010"):
        refused = run_command("tail", "-c", "none.yaml", "--count", wrong)
        assert refused.returncode == 2, refused.stderr
        assert "--count: a whole number from 1 on is expected" in refused.stderr


def test_a_closed_pipe_ends_it_quietly(db, tail):
    for idle in (False, True):
        readable, writable = os.pipe()
        with open(writable, "wb") as output:
            shown = tail(to_stdout(db), "-o", "json", stdout=output)
        with open(readable, "rb") as reader:
            emit(db, 1)
            assert json.loads(reader.readline())["payload"] == {"n": 1}
        if not idle:
            emit(db, 2, 1000)
        assert shown.ends() == 0
        assert shown.said().count("\n") == 1, shown.said()
        slots_are_gone(db)


def test_a_reader_that_pauses_costs_neither_the_slot_nor_an_event(new_cluster, new_db, tail):
    cluster = new_cluster(wal_sender_timeout="4s")
    database = new_db(cluster)
    readable, writable = os.pipe()
    with open(writable, "wb") as output:
        shown = tail(to_stdout(database), "-o", "json", stdout=output)
    rows = 3000
    with open(readable, "rb") as reader:
        emit(database, 1, rows, bytes_each=2000)
        stays(lambda: shown.process.poll() is None and tail_slots(database), 7, shown.said)
        numbers = [json.loads(reader.readline())["payload"]["n"] for _ in range(rows)]
    assert numbers == list(range(1, rows + 1))
    assert shown.ends() == 0


def test_a_reader_that_pauses_does_not_hold_up_a_server_that_stops(new_cluster, new_db, tail):
    cluster = new_cluster()
    database = new_db(cluster)
    readable, writable = os.pipe()
    with open(writable, "wb") as output:
        shown = tail(to_stdout(database), "-o", "json", stdout=output)
    with open(readable, "rb") as reader:
        emit(database, 1, 5000, bytes_each=2000)
        json.loads(reader.readline())
        cluster.stop("fast", timeout=30)
        # What was read before is still to be had.
        assert all(json.loads(line)["table"] for line in reader.read().splitlines())
    assert shown.ends() == 2
    assert "stopping" in shown.said() or "terminat" in shown.said(), shown.said()


def test_a_server_that_stops_ends_it_with_the_reason(new_cluster, new_db, tail):
    cluster = new_cluster()
    shown = tail(to_stdout(new_db(cluster)))
    cluster.stop("fast")
    assert shown.ends() == 2
    assert shown.said().count("\n") == 2, shown.said()


def test_an_idle_tail_outlives_the_timeout_of_the_server(new_cluster, new_db, tail):
    database = new_db(new_cluster(wal_sender_timeout="3s"))
    shown = tail(to_stdout(database), "-o", "json")
    stays(lambda: shown.process.poll() is None, 5, shown.said)
    emit(database, 1)
    assert shown.events(1)[0]["payload"] == {"n": 1}


def test_the_rights_that_it_needs_are_named_and_no_others_are_needed(db, tail):
    role = f"{db.name}_tail"
    settings = to_stdout(db)
    settings["source"]["conninfo"] = db.dsn(user=role)
    try:
        db.sql(f"CREATE ROLE {role} LOGIN")
        refused = tail(settings, ready=False)
        assert refused.ends() == 2
        assert f'the role "{role}" lacks REPLICATION' in refused.said()
        assert f'ALTER ROLE "{role}" REPLICATION' in refused.said()
        db.sql(f"ALTER ROLE {role} REPLICATION")
        shown = tail(settings, "-o", "json")
        emit(db, 1)
        assert shown.events(1)[0]["payload"] == {"n": 1}
        assert shown.stop() == 0
        db.sql(f"REVOKE CONNECT ON DATABASE {db.name} FROM public")
        refused = tail(settings, ready=False)
        assert refused.ends() == 2
        assert "CONNECT" in refused.said(), refused.said()
    finally:
        slots_are_gone(db)
        db.sql(f"DROP ROLE {role}")


def test_a_server_without_a_free_slot_is_told_plainly(new_cluster, new_db, tail):
    database = new_db(new_cluster(max_replication_slots="1"))
    refused = tail(to_stdout(database), ready=False)
    assert refused.ends() == 2
    assert "all replication slots are in use" in refused.said()
    assert "raise max_replication_slots" in refused.said()


def test_publications_are_looked_at_as_by_the_relay(db, tail):
    db.sql("CREATE TABLE public.unrouted (id int)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE public.unrouted")
    refused = tail(to_stdout(db), ready=False)
    assert refused.ends() == 2
    assert "public.unrouted has no route" in refused.said()


def test_it_says_whom_the_temporary_slot_waits_for(db, tail):
    settings = to_stdout(db)
    with contextlib.closing(db.conn(autocommit=False, application_name="importer")) as writer:
        writer.cursor().execute("CREATE TABLE being_made ()")
        pid = writer.info.backend_pid
        shown = tail(settings, "-o", "json", ready=False)
        shown.wait_said(f"waits until running transactions have ended: pid {pid}")
        given_up = tail(settings, ready=False)
        given_up.wait_said("waits until running transactions")
        assert given_up.stop() == 0
        until(lambda: len(tail_slots(db)) < 2, 10, "the one that was stopped leaves nothing behind")
        assert alive(shown.process.pid)
        writer.rollback()
    shown.wait_said("following from LSN ")
    emit(db, 1)
    assert shown.events(1)[0]["payload"] == {"n": 1}


def test_what_can_not_be_followed_ends_with_the_error_of_the_configuration(db, tail, tmp_path):
    settings = to_stdout(db)
    settings["sinks"]["console"] = {"kafka": {"brokers": "h:1", "properties": {"no.such": "1"}}}
    settings["routes"][0]["topic"] = "t"
    refused = tail(settings, ready=False)
    assert refused.ends() == 2
    assert "no.such" in refused.said()
    missing = subprocess.run(
        [binary(), "tail", "-c", str(tmp_path / "none.yaml")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20,
    )
    assert missing.returncode == 2 and "none.yaml" in missing.stderr
