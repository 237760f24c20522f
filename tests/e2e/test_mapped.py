"""Tables of the user's own as sources of events, and routes that choose by columns."""

import re

import pytest

from support.events import commit_position, emit, numbers, outbox_to
from support.receiver import Reply
from support.relay import config
from support.wait import until


def mail_routes(url):
    return {"mailer": {"http": {"url": url + "/mail/{template}?customer={customer}"}}}, [
        {
            "from": "shop.mail",
            "shape": {
                "id": "{id}",
                "key": "{customer}",
                "type": "mail.{template}",
                "payload": "body",
                "headers": "meta",
            },
            "to": "mailer",
        },
        {"from": "walrelay.outbox", "to": "none"},
    ]


def make_mail(database, partitioned):
    database.sql("CREATE SCHEMA shop")
    columns = (
        "id int, customer text, template text, body json, meta jsonb,"
        " made date DEFAULT '2026-01-01'"
    )
    if partitioned:
        database.sql(f"CREATE TABLE shop.mail ({columns}) PARTITION BY RANGE (made)")
        database.sql(
            "CREATE TABLE shop.mail_old PARTITION OF shop.mail FOR VALUES FROM (MINVALUE)"
            " TO ('2026-01-01')"
        )
        # The columns of a leaf may stand in another order than those of its root.
        database.sql(
            "CREATE TABLE shop.mail_new (made date, meta jsonb, body json, gone int, template text,"
            " customer text, id int)"
        )
        database.sql("ALTER TABLE shop.mail_new DROP COLUMN gone")
        database.sql("ALTER TABLE shop.mail_new ALTER made SET DEFAULT '2026-01-01'")
        database.sql(
            "ALTER TABLE shop.mail ATTACH PARTITION shop.mail_new FOR VALUES FROM ('2026-01-01')"
            " TO (MAXVALUE)"
        )
    else:
        database.sql(f"CREATE TABLE shop.mail ({columns})")
    database.sql(f"ALTER PUBLICATION {database.publication} ADD TABLE shop.mail")


def test_headers_are_made_of_columns_and_a_null_gives_none(db, receiver, relay):
    db.sql("CREATE TABLE jobs (id int, body text, region text, rank int, trace text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE jobs")
    shape = {
        "id": "{id}",
        "payload": "body",
        "headers": {"x-place": "{region}-{rank}", "traceparent": "{trace}", "x-kind": "job"},
    }
    routes = [{"from": "public.jobs", "shape": shape, "to": "jobs"}, outbox_to("none")]
    relay(config(db, {"jobs": {"http": {"url": receiver.url}}}, routes)).wait_ready()
    db.sql("INSERT INTO jobs VALUES (1, 'x', 'eu', 3, '00-1'), (2, 'y', 'eu', 4, NULL)")
    first, second = sorted(receiver.wait_for(2), key=lambda one: one.headers["webhook-id"])
    assert first.headers["x-place"] == "eu-3" and first.headers["traceparent"] == "00-1"
    assert first.headers["x-kind"] == second.headers["x-kind"] == "job"
    assert second.headers["x-place"] == "eu-4" and "traceparent" not in second.headers


@pytest.mark.every_major
def test_a_mapped_table_arrives_as_its_shape_says(db, receiver, relay):
    make_mail(db, partitioned=False)
    relay(config(db, *mail_routes(receiver.url))).wait_ready()
    db.sql(
        """INSERT INTO shop.mail VALUES (7, 'a b/c', 'welcome', '{"x":  1.0}', '{"tenant": "t"}')"""
    )
    [request] = receiver.wait_for(1)
    assert request.path == "/mail/welcome?customer=a%20b%2Fc"
    assert request.body == b'{"x":  1.0}', "json comes as it was written"
    assert request.headers["webhook-id"] == "7"
    assert request.headers["x-walrelay-key"] == "a b/c"
    assert request.headers["x-walrelay-type"] == "mail.welcome"
    assert request.headers["tenant"] == "t"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.every_major
def test_a_partitioned_table_arrives_under_the_name_of_its_root(db, receiver, relay):
    make_mail(db, partitioned=True)
    process = relay(config(db, *mail_routes(receiver.url))).wait_ready()
    db.sql(
        "INSERT INTO shop.mail SELECT n, 'c' || n, 'hello', json_build_object('n', n), NULL,"
        " date '2025-12-20' + n FROM generate_series(1, 30) n"
    )
    receiver.wait_for(30)
    # Straight into a leaf, and through a leaf that comes while the relay runs.
    db.sql(
        "INSERT INTO shop.mail_new (id, customer, template, body)"
        " VALUES (31, 'c31', 'hello', '{\"n\": 31}')"
    )
    db.sql("ALTER TABLE shop.mail DETACH PARTITION shop.mail_old")
    db.sql(
        "CREATE TABLE shop.mail_older PARTITION OF shop.mail FOR VALUES FROM (MINVALUE)"
        " TO ('2026-01-01')"
    )
    db.sql(
        "INSERT INTO shop.mail"
        " VALUES (32, 'c32', 'hello', '{\"n\": 32}', NULL, '2020-01-01')"
    )
    requests = receiver.wait_for(32)
    assert sorted(numbers(requests)) == list(range(1, 33))
    for request in requests:
        assert request.headers["x-walrelay-key"] == "c" + request.headers["webhook-id"]
    assert set(process.metrics()) >= {'walrelay_events_received_total{table="shop.mail"}'}


def test_a_value_from_a_row_cannot_leave_its_place_in_the_url(db, receiver, relay):
    make_mail(db, partitioned=False)
    relay(config(db, *mail_routes(receiver.url))).wait_ready()
    hostile = ["../admin", "a/b?x#y", "@evil.com", "%2e%2e", "ü", "a&b=c"]
    for number, customer in enumerate(hostile):
        db.sql(
            "INSERT INTO shop.mail VALUES (%s, %s, %s, '{}')", [number, customer, f"x{customer}"]
        )
    for request in receiver.wait_for(6):
        assert re.fullmatch(
            r"/mail/x[A-Za-z0-9._~%-]+\?customer=[A-Za-z0-9._~%-]+", request.path
        ), request.path
        assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.every_major
def test_an_event_goes_to_each_sink_of_its_route_and_is_done_when_all_have_it(db, receiver, relay):
    receiver.answer(lambda request: Reply(500 if request.path == "/b" else 200))
    sinks = {
        "first": {"http": {"url": receiver.url + "/a", "metadata": True}},
        "second": {"http": {"url": receiver.url + "/b", "metadata": True}},
    }
    process = relay(config(db, sinks, [outbox_to(["first", "second"])])).wait_ready()
    emit(db, 1)
    until(lambda: {one.path for one in receiver.requests} == {"/a", "/b"}, what="both sinks")
    until(lambda: process.delivered("first") == 1, what="the first sink has it")
    assert process.status()["in_flight_events"] == 1
    commit = commit_position(receiver.requests[0])
    assert db.slot_state()[1] <= commit
    receiver.answer(Reply())
    until(lambda: process.delivered("second") == 1, 40, "the second sink has it")
    until(lambda: db.slot_state()[1] > commit, what="it is acknowledged")
    assert [request.path for request in receiver.requests].count("/a") == 1


@pytest.mark.every_major
def test_the_first_route_whose_where_matches_takes_the_row(db, receiver, relay):
    sinks = {
        name: {"http": {"url": f"{receiver.url}/{name}"}} for name in ("orders", "billing", "rest")
    }
    routes = [
        outbox_to("orders", where={"topic": ["orders.*", "carts.?"]}),
        outbox_to("billing", where={"topic": "*ing*", "type": "made"}),
        outbox_to("none", where={"topic": "debug"}),
        outbox_to("rest"),
    ]
    process = relay(config(db, sinks, routes)).wait_ready()
    cases = [
        ("orders.new", None, "/orders"),
        ("carts.7", None, "/orders"),
        ("carts.77", None, "/rest"),
        ("billing", "made", "/billing"),
        ("billing", None, "/rest"),
        ("ORDERS.new", None, "/rest"),
        ("debug", None, None),
    ]
    for number, (topic, kind, _) in enumerate(cases):
        db.sql(
            "SELECT walrelay.emit(%s, jsonb_build_object('n', %s), type => %s)",
            [topic, number, kind],
        )
    requests = receiver.wait_for(6)
    until(lambda: process.status()["discarded"] == 1, what="one is discarded")
    assert {request.path for request in requests} == {"/orders", "/billing", "/rest"}
    assert dict(zip(numbers(requests), [request.path for request in requests])) == {
        number: path for number, (_, _, path) in enumerate(cases) if path
    }


def test_rows_without_a_key_and_with_an_empty_key_arrive(db, receiver, relay):
    sinks = {"endpoint": {"http": {"url": receiver.url}}}
    relay(config(db, sinks, [outbox_to("endpoint")])).wait_ready()
    db.sql("SELECT walrelay.emit('t', '{\"n\": 1}', key => NULL)")
    db.sql("SELECT walrelay.emit('t', '{\"n\": 2}', key => '')")
    keys = {numbers([one])[0]: one.headers.get("x-walrelay-key") for one in receiver.wait_for(2)}
    assert keys == {1: None, 2: ""}


@pytest.mark.every_major
def test_null_and_empty_payloads_arrive_as_empty_bodies(db, receiver, relay):
    sinks = {"endpoint": {"http": {"url": receiver.url}}}
    process = relay(config(db, sinks, [outbox_to("endpoint")])).wait_ready()
    db.sql("INSERT INTO walrelay.outbox (topic) VALUES ('t')")
    db.sql("SELECT walrelay.emit_raw('t', '')")
    assert [request.body for request in receiver.wait_for(2)] == [b"", b""]
    process.wait_settled()
