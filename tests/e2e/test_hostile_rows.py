"""Rows whose text would break lines, quotes, terminals or templates, wherever it is shown."""

import json

import pytest

from support import canary, hostile
from support.events import outbox_to, to_stdout
from support.receiver import Reply
from support.relay import config
from support.wait import until


def insert(database, text):
    database.sql(
        "INSERT INTO walrelay.outbox (topic, key, type, payload, headers)"
        " VALUES (%s, %s, %s, %s, %s)",
        [text, text, text, json.dumps({"v": text}), json.dumps({text: text})],
    )


def test_each_hostile_row_is_one_line_of_json_on_stdout_and_unchanged(db, relay):
    process = relay(to_stdout(db)).wait_ready()
    for text in hostile.texts:
        insert(db, text)
    until(lambda: process.delivered("console") >= len(hostile.texts), what="each is written")
    process.wait_settled()
    events = process.output()
    assert [event["key"] for event in events] == hostile.texts
    for text, event in zip(hostile.texts, events):
        assert event["type"] == text and event["payload"] == {"v": text}
        assert event["headers"] == {text: text}


# What ends a line, moves a cursor, or turns the direction of a text.
never_raw = [*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u2028", "\u202e"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_stalls_is_named_on_one_line_of_log_and_answers_whatever_a_row_holds(
    form, db, receiver, relay
):
    receiver.answer(Reply(404))
    sinks = {"endpoint": {"http": {"url": receiver.url + "/{topic}"}}}
    settings = config(db, sinks, [outbox_to("endpoint")], log={"format": form})
    process = relay(settings).wait_ready()
    texts = [text for text in hostile.texts if len(text) < 1000][:10]
    for text in texts:
        insert_bare(db, text)
    until(
        lambda: len(process.status()["sinks"][0]["stalls"]) == len(texts), 15, "each has its target"
    )
    until(lambda: process.log().count("HTTP 404") >= len(texts), 15, "each is in the log")
    for line in process.log().split("\n")[:-1]:
        shown = json.loads(line)["message"] if form == "json" else line
        assert not any(one in shown for one in never_raw), shown
    readiness = process.get("/readyz")[1].split("\n")
    assert readiness[0] == "not ready" and readiness[-1] == ""
    # The other one is said when that has lasted for five seconds.
    expected = ("sink endpoint stalls, target /", "sink endpoint: nothing is delivered: HTTP 404")
    assert all(line.startswith(expected) for line in readiness[1:-1])
    assert not any(one in "".join(readiness) for one in never_raw)
    assert process.metrics()["walrelay_ready"] == 0


def insert_bare(database, text):
    database.sql(
        "INSERT INTO walrelay.outbox (topic, key, type, payload) VALUES (%s, %s, %s, '{}')",
        [text, text, text],
    )


def test_a_reference_to_a_secret_in_a_row_is_a_text_like_any_other(db, receiver, relay):
    """The endpoint gets the reference, and not what it stands for."""
    settings = config(
        db,
        {"endpoint": {"http": {"url": receiver.url + "/{topic}"}}},
        [{**outbox_to("endpoint"), "key": "{key} of {type}"}],
    )
    relay(settings).wait_ready()
    db.sql(
        "INSERT INTO walrelay.outbox (topic, key, type, payload, headers)"
        " VALUES (%(v)s, %(v)s, %(v)s, jsonb_build_object('v', %(v)s),"
        " jsonb_build_object('x-row', %(v)s))",
        {"v": canary.reference},
    )
    [request] = receiver.wait_for(1)
    assert request.path == "/%24%7Benv%3AWALRELAY_TEST_CANARY%7D"
    assert request.headers["x-walrelay-key"] == f"{canary.reference} of {canary.reference}"
    assert request.headers["x-row"] == canary.reference
    assert json.loads(request.body) == {"v": canary.reference}
