"""SIGHUP: another sink map without a gap, and nothing changes where it doesn't fit."""

import base64
import json
import os
import re
import ssl

import pytest

from support import hostile
from support.authority import Authority
from support.events import Arrivals, by_key, emit, numbers, outbox_to, skips, to_http
from support.parked import pause, refuses, resume
from support.processes import free_port
from support.receiver import Receiver, Reply
from support.records import Writer, assert_all_arrived, repeats, to_kafka, wait_all_acknowledged
from support.slot_holder import slot_held
from support.wait import stays, until


def sink_map(db, receiver, path="/in", routes=(), http=None, **sections):
    """The outbox to `path`; `routes` come before its route."""
    settings = to_http(db, receiver, {"url": receiver.url + path, **(http or {})}, **sections)
    return {**settings, "routes": [*routes, *settings["routes"]]}


def assert_refused(process, reason):
    assert not process.reload(), "it should be refused"
    process.wait_log("not reloaded, the old configuration stays in use: .*" + reason)
    assert process.status()["reload_fault"]
    assert process.metrics()["walrelay_reload_failed"] == 1


def path_of(receiver, number):
    return {n: request.path for n, request in zip(numbers(receiver.requests), receiver.requests)}[
        number
    ]


def test_rows_behind_a_reload_take_the_new_route_and_none_is_lost_repeated_or_out_of_order(
    db, receiver, relay
):
    process = relay(sink_map(db, receiver, "/0")).wait_ready()
    with Writer(db) as writer:
        for turn in range(1, 6):
            seen = len(receiver.requests)
            until(lambda seen=seen: len(receiver.requests) > seen + 200, what="rows flow")
            assert process.reload(sink_map(db, receiver, f"/{turn}"))
        written = writer.stop()
    wait_all_acknowledged(db, written.stop)
    arrived = Arrivals.of(receiver.requests)
    assert arrived.distinct == set(range(written.stop + 1)) and arrived.repeats == 0
    assert all(skips(log) == [] for log in by_key(receiver.requests).values())
    turns = [int(request.path[1:]) for request in receiver.requests]
    assert turns == sorted(turns) and set(turns) == set(range(6))
    assert process.status()["reload_fault"] == ""


def test_records_of_kafka_keep_their_order_over_reloads(db, broker, relay):
    topic = broker.create_topic(partitions=2)
    process = relay(to_kafka(db, broker, topic)).wait_ready()
    with Writer(db) as writer:
        for linger in (1, 20, 2):
            before = writer.committed
            until(lambda before=before: writer.committed > before + 200, what="rows are written")
            properties = {"linger.ms": linger}
            assert process.reload(to_kafka(db, broker, topic, kafka={"properties": properties}))
            more = {"metadata": False, "properties": properties}
            assert process.reload(to_kafka(db, broker, topic, kafka=more))
        written = writer.stop()
    wait_all_acknowledged(db, written.stop)
    records = broker.everything(topic)
    assert_all_arrived(records, range(written.stop + 1))
    assert repeats(records) == 0


def test_a_file_with_errors_changes_nothing_and_is_reported_with_its_lines(db, receiver, relay):
    process = relay(sink_map(db, receiver)).wait_ready()
    good = process.file.read_text(encoding="utf-8")
    process.file.write_text("source: {\n", encoding="utf-8")
    assert_refused(process, "the file has errors")
    process.file.write_text(good.replace('"routes"', '"rutes"'), encoding="utf-8")
    assert_refused(process, "the file has errors")
    process.wait_log(r"walrelay.yaml:\d+:\d+: rutes: .*routes")
    emit(db, 1)
    until(lambda: numbers(receiver.requests) == [1], what="the old map is in use")
    process.file.write_text(good, encoding="utf-8")
    assert process.reload()
    assert process.status()["reload_fault"] == ""
    assert process.metrics()["walrelay_reload_failed"] == 0


def test_d5_a_hostile_file_is_refused_by_name_and_the_old_one_delivers_on(db, receiver, relay):
    process = relay(sink_map(db, receiver), environment={"EMPTY": ""}).wait_ready()
    before = process.peak_memory()
    cases = [*hostile.files.values(), (None, ": can't be read: not a file: a pipe, socket or device")]
    for count, (content, said) in enumerate(cases, 1):
        process.file.unlink()
        if content is None:
            os.mkfifo(process.file)
        else:
            process.file.write_bytes(content)
        told = len(process.log())
        assert_refused(process, "the file has errors")
        place = re.escape(str(process.file)) + said
        assert re.search(place, process.log()[told:]), (said, process.log()[told:][:2000])
        assert len(process.log()) - told < 10_000
        emit(db, count)
        receiver.wait_for(count)
    assert numbers(receiver.requests) == [*range(1, len(cases) + 1)]
    assert process.peak_memory() < before + (100 << 20)
    process.file.unlink()
    assert process.reload(sink_map(db, receiver, "/new"))
    emit(db, 100)
    until(lambda: path_of(receiver, 100) == "/new" if 100 in numbers(receiver.requests) else False)


@pytest.mark.parametrize(
    "change, named",
    [
        (lambda one: one["source"].update(slot="other"), "source.slot"),
        (lambda one: one["source"].update(publication="other"), "source.publication"),
        (lambda one: one["sinks"].update(more={"discard": {}}), "sinks: other names"),
        (lambda one: one["sinks"].update(endpoint={"discard": {}}), "sinks.endpoint: is http, would be discard"),
        (lambda one: one["sinks"]["endpoint"]["http"].update(url="http://127.0.0.1:9/"),
         "sinks.endpoint.http.url: another scheme, host or port"),
    ],
    ids=["slot", "publication", "sinks", "kind", "host"],
)
def test_what_needs_a_restart_is_refused_by_name(db, receiver, relay, change, named):
    process = relay(sink_map(db, receiver)).wait_ready()
    settings = json.loads(process.file.read_text(encoding="utf-8"))
    change(settings)
    process.file.write_text(json.dumps(settings), encoding="utf-8")
    assert_refused(process, "needs a restart of walrelay: " + named)
    emit(db, 1)
    until(lambda: numbers(receiver.requests) == [1], what="the old map is in use")


def test_a_map_that_does_not_fit_the_publication_is_refused(db, receiver, relay):
    process = relay(sink_map(db, receiver)).wait_ready()
    db.sql("CREATE TABLE public.mails (body jsonb)")
    mails = {"from": "public.mails", "to": "endpoint", "shape": {"payload": "body"}}
    assert not process.reload(sink_map(db, receiver, routes=[mails]))
    process.wait_log("not reloaded.*public.mails.*ALTER PUBLICATION")
    db.sql("GRANT SELECT ON public.mails TO PUBLIC")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE public.mails")
    assert process.reload(sink_map(db, receiver, routes=[mails]))
    db.sql("INSERT INTO public.mails VALUES ('{\"n\": 7}')")
    until(lambda: numbers(receiver.requests) == [7], what="the mail arrives")


def test_a_window_that_does_not_empty_refuses_the_map_and_the_stream_goes_on(db, receiver, relay):
    receiver.answer(Reply(status=503, headers={"retry-after": "1"}))
    process = relay(sink_map(db, receiver)).wait_ready()
    emit(db, 1, 20, keys=3)
    until(lambda: len(receiver.requests) >= 1, what="the sink is asked")
    process.write({**sink_map(db, receiver, "/other"), "admin": process.admin_section})
    process.hang_up()
    until(lambda: process.status()["state"] == "reloading", what="no transaction is begun any more")
    emit(db, 21, 40, keys=3)  # their first frame is kept back
    process.wait_log("not reloaded.*20 events that were read could not be delivered within 10 s")
    receiver.answer(Reply())
    wait_all_acknowledged(db, 41, 90)
    assert set(numbers(receiver.requests)) == set(range(1, 42))
    assert {request.path for request in receiver.requests} == {"/in"}


def test_a_secret_that_was_replaced_is_used_at_once_though_rows_wait(db, receiver, relay, tmp_path):
    refusal = Reply(503, {"retry-after": "60"})  # the next attempt is a minute ahead
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("old", encoding="ascii")
    receiver.answer(
        lambda one: Reply() if one.headers["authorization"] == "Bearer new" else refusal
    )
    headers = {"authorization": f"Bearer ${{file:{token}}}"}
    process = relay(sink_map(db, receiver, http={"headers": headers})).wait_ready()
    emit(db, 1, 20, keys=3)
    process.wait_not_ready("HTTP 503")
    token.write_text("new", encoding="ascii")
    assert process.reload()
    until(process.ready, 15, process.status)
    wait_all_acknowledged(db, 21)
    assert process.status()["reconnects"] == 0


def test_an_admin_token_that_was_replaced_counts_from_the_reload_on(db, receiver, relay, tmp_path):
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("old", encoding="ascii")
    admin = {"listen": f"127.0.0.1:{free_port()}", "token": f"${{file:{token}}}"}
    process = relay(sink_map(db, receiver, admin=admin))

    def codes(given):
        return {process.get(path, given)[0] for path in ("/readyz", "/status", "/metrics")}

    until(lambda: codes("old") == {200}, 15, "it is ready")
    assert codes("new") == codes("") == {401}
    token.write_text("new", encoding="ascii")
    assert codes("old") == {200}, "nothing is read before the signal"
    assert process.reload()
    assert codes("new") == {200} and codes("old") == codes("") == {401}
    assert process.reload(sink_map(db, receiver, "/other"))
    until(lambda: codes("new") == {200}, what="with another map too")
    assert codes("old") == {401} and process.get("/healthz", "")[0] == 200


def test_a_conninfo_that_changed_alone_is_tried_first_and_used_by_the_next_connections(
    db, receiver, relay
):
    process = relay(sink_map(db, receiver)).wait_ready()
    wrong = {"conninfo": db.dsn(user="nobody_of_this_name"), "exit_delay": "0s"}
    assert not process.reload(sink_map(db, receiver, source=wrong))
    process.wait_log("not reloaded.*nobody_of_this_name")
    moved = {"conninfo": db.dsn(user=db.relay_user, application_name="moved"), "exit_delay": "0s"}
    assert process.reload(sink_map(db, receiver, source=moved))
    emit(db, 1)
    receiver.wait_for(1)
    assert process.status()["reconnects"] == 0, "what is connected stays"

    def name_of_the_walsender():
        rows = db.sql(
            "SELECT application_name FROM pg_stat_replication WHERE pid = %s",
            [db.slot_state()[0]],
        )
        return rows[0][0] if rows else None

    assert name_of_the_walsender() != "moved"
    db.sql("SELECT pg_terminate_backend(%s)", [db.slot_state()[0]])
    until(lambda: name_of_the_walsender() == "moved", 20, "it comes back by the new conninfo")
    wait_all_acknowledged(db, 2)
    assert Arrivals.of(receiver.requests).distinct == {1, 2}


def test_a_paused_sink_stays_paused_with_other_settings_and_with_a_new_map(db, receiver, relay):
    process = relay(sink_map(db, receiver)).wait_ready()
    pause(process, "endpoint")
    assert process.reload(sink_map(db, receiver, "/new"))
    process.wait_not_ready("sink endpoint is paused by an operator")
    emit(db, 1, 10, keys=3)
    until(lambda: process.status()["in_flight_events"] == 10, what="they are read")
    headers = {"x-settings": "other"}
    assert process.reload(sink_map(db, receiver, "/new", http={"headers": headers}))
    process.wait_not_ready("sink endpoint is paused by an operator")
    stays(lambda: not receiver.requests, 1, "nothing is sent")
    resume(process, "endpoint")
    requests = receiver.wait_for(10)
    assert {(one.path, one.headers["x-settings"]) for one in requests} == {("/new", "other")}
    wait_all_acknowledged(db, 11)
    assert Arrivals.of(receiver.requests).repeats == 0


def test_signing_secrets_and_certificates_are_read_again(db, relay, tmp_path):
    authority = Authority(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(
        open(Authority(tmp_path / "other").file, encoding="ascii").read(), encoding="ascii"
    )
    secrets = [b"o" * 32, b"n" * 32]
    texts = ["whsec_" + base64.b64encode(one).decode() for one in secrets]
    receiver = Receiver(context)
    try:
        hooks = {"tls": {"ca": str(trusted)}, "signing": texts[:1]}
        process = relay(sink_map(db, receiver, http=hooks)).wait_ready()
        emit(db, 1)
        process.wait_not_ready("certificate of 127.0.0.1 is not accepted")
        trusted.write_text(open(authority.file, encoding="ascii").read(), encoding="ascii")
        assert process.reload()
        until(lambda: numbers(receiver.requests) == [1], 10, "the new authority is trusted")
        hooks["signing"] = texts
        assert process.reload(sink_map(db, receiver, http=hooks))
        emit(db, 2)
        until(lambda: len(receiver.requests) == 2, what="the second arrives")
        counts = [len(one.headers["webhook-signature"].split()) for one in receiver.requests]
        assert counts == [1, 2]
    finally:
        receiver.close()


def test_a_halt_ends_with_a_reload_that_routes_the_row(db, receiver, relay):
    poison = {**outbox_to("endpoint"), "where": {"topic": "poison"}, "on_event_error": "halt"}
    limits = {"event_bytes": "1KiB"}
    process = relay(sink_map(db, receiver, routes=[poison], limits=limits)).wait_ready()
    db.sql("SELECT walrelay.emit('poison', to_jsonb(repeat('x', 2000)))")
    process.wait_not_ready("halted on")
    emit(db, 1)
    discard = {**outbox_to("none"), "where": {"topic": "poison"}}
    assert process.reload(sink_map(db, receiver, routes=[discard]))
    until(lambda: 1 in numbers(receiver.requests), what="it goes on")
    until(process.ready, 10, process.status)


def test_a_halt_ends_with_sighup_where_the_endpoint_was_mended_and_the_file_is_the_same(
    db, receiver, relay
):
    receiver.answer(refuses(2))
    process = relay(sink_map(db, receiver, on_event_error="halt")).wait_ready()
    emit(db, 1, 3)
    process.wait_not_ready("halted on", 25)
    assert process.reload()
    assert "halted" not in process.get("/readyz")[1]
    until(lambda: numbers(receiver.requests).count(2) == 6, 25, "it is tried again, and refused")
    process.wait_not_ready("halted on")
    receiver.answer(Reply())
    assert process.reload()
    until(lambda: {1, 2, 3} <= set(numbers(receiver.requests)), what="it goes on")
    until(process.ready, 10, process.status)
    wait_all_acknowledged(db, 4)


def test_a_reload_in_a_large_transaction_waits_for_its_end(db, receiver, relay):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(sink_map(db, receiver, limits={"in_flight_events": 50})).wait_ready()
    emit(db, 1, 500, keys=100)
    until(lambda: process.status()["limit_held_by"], what="the transaction is read in part")
    process.write({**sink_map(db, receiver, "/new"), "admin": process.admin_section})
    process.hang_up()
    until(lambda: process.status()["state"] == "reloading", what="it waits for the end")
    process.write({**sink_map(db, receiver, "/newer"), "admin": process.admin_section})
    process.hang_up()  # the file has changed once more
    gate.open()
    receiver.answer(Reply())
    process.wait_log("(?s)reloaded: the new map.*reloaded: the new map")
    emit(db, 501)
    wait_all_acknowledged(db, 502)
    assert Arrivals.of(receiver.requests).repeats == 0
    assert path_of(receiver, 500) == "/in" and path_of(receiver, 501) == "/newer"


def test_a_relay_that_waits_for_the_slot_reloads_too_and_lives_on_when_the_map_does_not_fit(
    db, receiver, relay
):
    with slot_held(db):
        process = relay(sink_map(db, receiver))
        process.wait_log("waiting until it is free")
        unfit = sink_map(db, receiver, routes=[{"from": "public.none", "to": "none"}])
        unfit["routes"] = unfit["routes"][:1]
        assert not process.reload(unfit)
        process.wait_log("not reloaded.*walrelay.outbox has no route")
        wrong = {"conninfo": db.dsn(user="nobody_of_this_name"), "exit_delay": "0s"}
        assert not process.reload(sink_map(db, receiver, "/wrong", source=wrong))
        assert process.reload(sink_map(db, receiver, "/new"))
        stays(process.running, 1, process.log)
    process.wait_ready(20)
    emit(db, 1)
    until(lambda: path_of(receiver, 1) == "/new" if receiver.requests else False, what="it arrives")


def test_a_held_key_stays_held_over_a_reload_and_heals_in_order(db, receiver, relay):
    receiver.answer(lambda one: Reply(500 if one.headers["x-walrelay-key"] == "k0" else 200))
    limits = {"in_flight_events": 20}
    process = relay(sink_map(db, receiver, limits=limits)).wait_ready()
    for first in range(0, 200, 10):
        emit(db, first, first + 9, keys=5)
    until(lambda: process.status()["sinks"][0]["held_keys"] == 1, 20, "the key is held")
    gate = receiver.gate()
    hanging = []

    def hangs(request):
        if request.headers["x-walrelay-key"] != "k0":
            return Reply()
        hanging.append(request)
        return Reply(gate=gate)

    receiver.answer(hangs)
    until(lambda: hanging, 90, "its attempt hangs")
    assert process.reload(sink_map(db, receiver, "/new", limits=limits))
    gate.open()
    receiver.answer(lambda one: Reply(500 if one.headers["x-walrelay-key"] == "k0" else 200))
    until(lambda: process.status()["sinks"][0]["held_keys"] == 1, what="it still is")
    emit(db, 200, 209, keys=5)
    receiver.answer(Reply())
    until(lambda: process.status()["sinks"][0]["held_keys"] == 0, 90, process.status)
    wait_all_acknowledged(db, 210)
    logs = by_key(receiver.requests)
    assert set(numbers(receiver.requests)) == set(range(211))
    assert all(skips(log) == [] and log[-1] == max(log) for log in logs.values())
