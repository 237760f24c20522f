"""Workflows in, pushes out: what a worker is sent, how often, and what happens when it fails."""

import contextlib
import json
import uuid

import pytest

from support.receiver import Reply
from support.relay import config
from support.wait import stays, until

pushes = {"from": "walrelay.dispatch", "to": "workers"}


@pytest.fixture
def queues(db):
    """A database whose publication has the pushes, with the queues mails and bills."""
    db.sql(f"ALTER PUBLICATION {db.publication} SET TABLE walrelay.dispatch")
    db.sql("SELECT walrelay.create_queue('mails'), walrelay.create_queue('bills')")
    return db


def to_workers(database, receiver, http=None, **sections):
    """A sink map that posts each push to the path of its queue."""
    sink = {"http": {"url": receiver.url + "/{queue}", **(http or {})}}
    return config(database, {"workers": sink}, [pushes], **sections)


def enqueue(database, number, queue="mails", cursor=None, **named):
    """Enqueues the workflow `send` with the input {"n": NUMBER}; its id."""
    values = {"queue": queue, "input": json.dumps({"n": number}), **named}
    texts = ", ".join(f"{name} => %({name})s" for name in values)
    statement = f"SELECT id::text FROM walrelay.enqueue_workflow('send', {texts})"
    if cursor is None:
        return database.value(statement, values)
    cursor.execute(statement, values)
    return cursor.fetchone()[0]


def inputs(requests):
    return [json.loads(request.body)["input"]["n"] for request in requests]


@pytest.mark.every_major
def test_a_worker_is_sent_the_workflow_with_its_id_queue_name_and_key(queues, receiver, relay):
    process = relay(to_workers(queues, receiver)).wait_ready()
    made = enqueue(queues, 1, key="kü 1", headers='{"tenant": "7"}')
    [request] = receiver.wait_for(1)
    assert (request.method, request.path) == ("POST", "/mails")
    assert json.loads(request.body) == {
        "workflow_id": made, "name": "send", "queue": "mails", "attempt": 1, "key": "kü 1",
        "input": {"n": 1}}
    for name, value in {
            "content-type": "application/json", "webhook-id": f"{made}-1",
            "idempotency-key": made, "x-walrelay-workflow-id": made,
            "x-walrelay-workflow-attempt": "1", "x-walrelay-queue": "mails",
            "x-walrelay-name": "send", "x-walrelay-key": "k%C3%BC 1",
            "x-walrelay-attempt": "1", "tenant": "7"}.items():
        assert request.headers.get(name) == value, name
    process.wait_settled()
    assert process.delivered("workers") == 1


def test_without_key_and_input_the_body_says_null_and_an_empty_object(queues, receiver, relay):
    relay(to_workers(queues, receiver)).wait_ready()
    made = queues.value("SELECT id::text FROM walrelay.enqueue_workflow('ping')")
    [request] = receiver.wait_for(1)
    assert request.path == "/default"
    assert json.loads(request.body) == {
        "workflow_id": made, "name": "ping", "queue": "default", "attempt": 1, "key": None,
        "input": {}}
    assert "x-walrelay-key" not in request.headers


@pytest.mark.parametrize("text", [
    '{"a": 1.10, "b": [1e3, 12345678901234567890123], "c": "ü \\u0001 \\" \\\\ 😀"}',
    '"a text"', "null", "-0.0", "[]"])
def test_the_input_arrives_as_postgres_prints_it(queues, receiver, relay, text):
    relay(to_workers(queues, receiver)).wait_ready()
    queues.sql("SELECT walrelay.enqueue_workflow('w', input => %s)", [text])
    [request] = receiver.wait_for(1)
    assert queues.value("SELECT %s::jsonb::text", [text]).encode() in request.body
    assert json.loads(request.body)["input"] == json.loads(text)


def test_names_and_keys_of_any_text_arrive_whole(queues, receiver, relay):
    relay(to_workers(queues, receiver)).wait_ready()
    text = 'a"b\\c\td\r\nx-evil: 1 ü 😀'
    made = queues.value("SELECT id::text FROM walrelay.enqueue_workflow(%s, key => %s)",
                        [text, text])
    [request] = receiver.wait_for(1)
    body = json.loads(request.body)
    assert (body["workflow_id"], body["name"], body["key"]) == (made, text, text)
    assert "x-evil" not in request.headers and request.headers["idempotency-key"] == made


@pytest.mark.every_major
def test_a_prepared_workflow_is_pushed_at_commit_prepared_and_a_rolled_back_one_never(
        queues, receiver, relay):
    relay(to_workers(queues, receiver)).wait_ready()
    with contextlib.closing(queues.conn(autocommit=False)) as session:
        cursor = session.cursor()
        enqueue(queues, 1, cursor=cursor)
        session.rollback()
        enqueue(queues, 2, cursor=cursor)
        cursor.execute(f"PREPARE TRANSACTION '{queues.name}'")
    enqueue(queues, 3)
    assert inputs(receiver.wait_for(1)) == [3]
    queues.sql(f"COMMIT PREPARED '{queues.name}'")
    receiver.wait_for(2)
    enqueue(queues, 4)
    assert inputs(receiver.wait_for(3)) == [3, 2, 4]


@pytest.mark.every_major
def test_many_workflows_arrive_once_each_and_those_of_a_key_in_order(queues, receiver, relay):
    process = relay(to_workers(queues, receiver)).wait_ready()
    ids = queues.value(
        "SELECT walrelay.enqueue_workflows('send', 'bills',"
        " array_agg(jsonb_build_object('n', n) ORDER BY n),"
        " array_agg('k' || n %% %s ORDER BY n))::text[] FROM generate_series(1, 1000) n", [7])
    requests = receiver.wait_for(1000)
    process.wait_settled()
    assert len(receiver.requests) == 1000
    assert {request.headers["idempotency-key"] for request in requests} == set(ids)
    found = {}
    for request in requests:
        found.setdefault(request.headers["x-walrelay-key"], []).append(inputs([request])[0])
    assert len(found) == 7
    for key, arrived in found.items():
        assert arrived == sorted(arrived), key


def test_a_push_that_is_refused_is_repeated_with_the_same_id_and_body(queues, receiver, relay):
    receiver.answer(lambda request: Reply(
        503 if request.headers["x-walrelay-attempt"] in ("1", "2") else 200))
    process = relay(to_workers(queues, receiver)).wait_ready()
    made = enqueue(queues, 1, key="k")
    until(lambda: process.delivered("workers") == 1, what="the third attempt is accepted")
    first, second, third = receiver.requests
    assert [one.headers["x-walrelay-attempt"] for one in (first, second, third)] == ["1", "2", "3"]
    assert first.body == second.body == third.body
    for one in (first, second, third):
        assert one.headers["webhook-id"] == f"{made}-1"
        assert one.headers["x-walrelay-workflow-attempt"] == "1"


def test_a_push_is_not_acknowledged_before_its_worker_has_answered(queues, receiver, relay):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_workers(queues, receiver)).wait_ready()
    made = enqueue(queues, 1)
    receiver.wait_for(1)
    before = queues.slot_state()[1]
    process.kill9()
    receiver.answer(Reply())
    gate.open()
    process.start(wait=True)
    receiver.wait_for(2)
    process.wait_settled()
    assert [request.headers["idempotency-key"] for request in receiver.requests] == [made, made]
    until(lambda: queues.slot_state()[1] > before, what="the server has the acknowledgement")


def test_a_queue_whose_path_is_missing_stalls_alone(queues, receiver, relay):
    missing = {"/mails"}
    receiver.answer(lambda request: Reply(404 if request.path in missing else 200))
    process = relay(to_workers(queues, receiver)).wait_ready()
    for number in range(5):
        enqueue(queues, number, key="m")
        enqueue(queues, 10 + number, queue="bills", key="b")
    until(lambda: process.delivered("workers") == 5, what="the other queue goes on")
    assert "/mails" in process.wait_not_ready("404")
    missing.clear()
    until(lambda: process.delivered("workers") == 10, 90, "the queue goes on when it answers")
    accepted = inputs(receiver.requests[-5:])
    assert accepted == [0, 1, 2, 3, 4]


def test_routes_choose_by_queue_and_name(queues, receiver, relay):
    sinks = {"mailer": {"http": {"url": receiver.url + "/mailer"}},
             "others": {"http": {"url": receiver.url + "/others/{name}"}}}
    relay(config(queues, sinks, [
        {"from": "walrelay.dispatch", "where": {"queue": "ma*"}, "to": "mailer"},
        {"from": "walrelay.dispatch", "to": "others"}])).wait_ready()
    enqueue(queues, 1)
    enqueue(queues, 2, queue="bills")
    assert {(request.path, inputs([request])[0]) for request in receiver.wait_for(2)} == {
        ("/mailer", 1), ("/others/send", 2)}


def test_events_and_workflows_of_one_transaction_go_to_their_own_sinks(queues, receiver, relay):
    queues.sql(f"ALTER PUBLICATION {queues.publication} ADD TABLE walrelay.outbox")
    sinks = {"workers": {"http": {"url": receiver.url + "/{queue}"}},
             "events": {"http": {"url": receiver.url + "/events"}}}
    process = relay(config(queues, sinks, [
        pushes, {"from": "walrelay.outbox", "to": "events"}])).wait_ready()
    with contextlib.closing(queues.conn(autocommit=False)) as session:
        cursor = session.cursor()
        made = enqueue(queues, 1, cursor=cursor)
        cursor.execute("SELECT walrelay.emit('orders', '{\"placed\": 1}')::text")
        [event] = cursor.fetchone()
        session.commit()
    receiver.wait_for(2)
    process.wait_settled()
    assert {(request.path, request.headers["webhook-id"]) for request in receiver.requests} == {
        ("/mails", f"{made}-1"), ("/events", event)}
    [plain] = [request for request in receiver.requests if request.path == "/events"]
    assert not {name for name in plain.headers
                if name in ("idempotency-key", "x-walrelay-queue", "x-walrelay-workflow-id")}


def test_workflows_that_no_route_names_are_not_read(db, receiver, relay):
    process = relay(config(db, {"events": {"http": {"url": receiver.url}}},
                           [{"from": "walrelay.outbox", "to": "events"}])).wait_ready()
    db.sql("SELECT walrelay.enqueue_workflow('w')")
    db.sql("SELECT walrelay.emit('t', '{}')")
    receiver.wait_for(1)
    process.wait_settled()
    stays(lambda: len(receiver.requests) == 1 and process.ready(), 1, "the push goes nowhere")


@pytest.mark.every_major
def test_a_push_into_kafka_goes_to_the_topic_of_its_queue(queues, broker, relay):
    topic = broker.create_topic(f"queue-{uuid.uuid4().hex[:8]}", partitions=1)
    queues.sql("SELECT walrelay.create_queue(%s)", [topic])
    relay(config(queues, {"workers": {"kafka": {"brokers": broker.bootstrap}}}, [pushes]))
    made = enqueue(queues, 1, queue=topic, key="kü 1", headers='{"tenant": "7"}')
    bare = queues.value("SELECT id::text FROM walrelay.enqueue_workflow('ping', %s)", [topic])
    first, second = broker.consume(topic, 2)
    assert (first.key, second.key) == ("kü 1".encode(), None)
    assert json.loads(first.value) == {
        "workflow_id": made, "name": "send", "queue": topic, "attempt": 1, "key": "kü 1",
        "input": {"n": 1}}
    for record, wanted in ((first, {"id": f"{made}-1", "workflow-id": made, "name": "send",
                                    "tenant": "7"}),
                           (second, {"id": f"{bare}-1", "workflow-id": bare, "name": "ping"})):
        wanted.update({"workflow-attempt": "1", "queue": topic, "content-type": "application/json"})
        assert {name: value.decode() for name, value in record.headers} == wanted


def test_a_push_shows_itself_on_stdout(queues, relay):
    process = relay(config(queues, {"workers": {"stdout": {}}}, [pushes])).wait_ready()
    made = enqueue(queues, 1, key="k")
    [line] = until(process.output, what="a line")
    assert (line["id"], line["key"], line["table"]) == (f"{made}-1", "k", "walrelay.dispatch")
    assert line["payload"]["workflow_id"] == made and line["payload"]["input"] == {"n": 1}
