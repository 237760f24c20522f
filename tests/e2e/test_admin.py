"""What the relay says of itself: metrics, readiness, status, and its log."""

import contextlib
import json
import socket
import time

import pytest

from support.events import emit, outbox_to, to_discard, to_http
from support.processes import free_port
from support.receiver import Reply
from support.relay import config, run_command
from support.wait import stays, until


@pytest.mark.every_major
def test_metrics_have_the_documented_names(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 5)
    until(lambda: process.delivered("endpoint") == 5, what="the rows are delivered")
    metrics = process.metrics()
    assert metrics['walrelay_events_received_total{table="walrelay.outbox"}'] == 5
    delivered = [name for name in metrics if name.startswith("walrelay_events_delivered_total{")]
    assert [metrics[name] for name in delivered] == [5]
    assert 'sink="endpoint"' in delivered[0]
    assert any(
        name.startswith("walrelay_events_retried_total{")
        and 'sink="endpoint"' in name
        and 'class="transient"' in name
        for name in metrics
    )
    for name in (
        "walrelay_lag_bytes",
        "walrelay_lag_seconds",
        "walrelay_slot_retained_bytes",
        "walrelay_in_flight_events",
        "walrelay_in_flight_bytes",
        "walrelay_replay_events",
        "walrelay_ready",
        "walrelay_reconnects_total",
        "walrelay_loop_latency_seconds",
    ):
        assert name in metrics, name
    assert metrics["walrelay_ready"] == 1
    assert metrics["walrelay_in_flight_events"] == 0


@pytest.mark.every_major
def test_lag_is_shown_in_bytes_seconds_and_events_while_rows_wait(db, receiver, relay):
    receiver.answer(Reply(gate=receiver.gate()))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 40, keys=40, bytes_each=500)
    receiver.wait_for(10)
    until(lambda: process.metrics()["walrelay_in_flight_events"] == 40, what="all are read")
    until(lambda: process.metrics()["walrelay_lag_seconds"] > 0.5, what="the lag grows")
    metrics = process.metrics()
    assert metrics["walrelay_in_flight_events"] == 40
    assert metrics["walrelay_in_flight_bytes"] > 40 * 500
    assert metrics["walrelay_lag_bytes"] > 40 * 500


def test_healthz_says_that_it_lives_and_readyz_why_it_is_not_ready(db, receiver, relay):
    receiver.answer(Reply(401))
    process = relay(to_http(db, receiver)).wait_ready()
    assert process.get("/healthz")[0] == 200
    emit(db, 1)
    text = process.wait_not_ready("sink endpoint stalls.*HTTP 401")
    assert text.startswith("not ready")
    assert process.get("/healthz")[0] == 200
    assert process.get("/nothing")[0] == 404
    receiver.answer(Reply())
    process.wait_ready(90)


def test_a_url_that_is_gone_is_named_as_a_target_and_others_go_on(db, receiver, relay):
    receiver.answer(lambda request: Reply(404 if request.path == "/gone" else 200))
    sinks = {"endpoint": {"http": {"url": receiver.url + "/{topic}"}}}
    process = relay(config(db, sinks, [outbox_to("endpoint")])).wait_ready()
    db.sql("SELECT walrelay.emit('gone', '{}')")
    process.wait_not_ready("HTTP 404")
    db.sql("SELECT walrelay.emit('here', '{}')")
    until(lambda: "/here" in [request.path for request in receiver.requests], what="the other URL")
    stall = process.status()["sinks"][0]["stalls"][0]
    assert stall["scope"] == "target" and "/gone" in stall["name"]


@pytest.mark.every_major
def test_status_ready_is_the_exit_code_of_a_health_check(db, receiver, relay):
    process = relay(to_http(db, receiver), start=False)
    command = ["status", "-c", process.file, "--ready"]
    assert run_command(*command).returncode == 1, "no relay runs"
    process.start(wait=True)
    assert run_command(*command).returncode == 0
    receiver.answer(Reply(401))
    emit(db, 1)
    process.wait_not_ready("HTTP 401")
    assert run_command(*command).returncode == 1


def test_an_idle_relay_asks_the_server_for_no_more_connections(new_cluster, new_db, relay):
    database = new_db(new_cluster(log_connections="on"))
    process = relay(to_discard(database)).wait_ready()
    emit(database, 1)
    until(lambda: process.delivered("nothing") == 1, what="the row is delivered")
    before = database.cluster.log().count("connection authorized")
    stays(process.ready, 13, "idle")
    assert database.cluster.log().count("connection authorized") <= before + 2


def test_a_relay_that_was_idle_is_ready_while_the_first_answer_is_awaited(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    stays(process.ready, 8, "idle")
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    emit(db, 1, 2)
    receiver.wait_for(1)
    try:
        stays(process.ready, 1, lambda: process.get("/readyz")[1])
        process.wait_not_ready("nothing is delivered: no answer yet")
    finally:
        gate.open()


@pytest.mark.every_major
def test_status_shows_positions_of_relay_and_database(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 3)
    receiver.wait_for(3)
    process.wait_settled()
    done = run_command("status", "-c", process.file, "-o", "json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["relay"]["state"] == "streaming" and shown["relay"]["ready"] is True
    assert shown["relay"]["sinks"][0]["delivered"] == 3
    assert shown["database"]["slot"]["active_pid"] == db.slot_state()[0]
    epoch = process.status()["epoch"]
    assert shown["database"]["progress"]["epoch"] == epoch
    text = run_command("status", "-c", process.file).stdout
    assert "streaming, ready" in text and "3 delivered" in text and f"epoch {epoch}" in text
    assert process.stop() == 0
    until(lambda: db.slot_state()[0] is None, what="the server has let the slot go")
    shown = json.loads(run_command("status", "-c", process.file, "-o", "json").stdout)
    assert shown["relay"] is None
    assert shown["database"]["slot"]["active_pid"] is None
    assert "none answers" in run_command("status", "-c", process.file).stdout


def test_d6_slow_admin_clients_do_not_hold_up_delivery(db, receiver, relay):
    process = relay(to_http(db, receiver)).wait_ready()
    host, _, port = process.admin.removeprefix("http://").partition(":")
    with contextlib.ExitStack() as stack:
        for number in range(60):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
            client.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n" if number % 2 else b"G")
        start = time.monotonic()
        emit(db, 1, 200, keys=50)
        receiver.wait_for(200)
        assert time.monotonic() - start < 15, "none of them was waited for"
        until(
            lambda: process.get("/healthz", patience=1)[0] == 200, 30, "slow clients are given up"
        )


def test_an_admin_token_is_asked_for(db, relay):
    settings = to_discard(db)
    settings["admin"] = {"listen": f"127.0.0.1:{free_port()}", "token": "c4nary"}
    process = relay(settings)
    until(lambda: process.get("/healthz")[0] == 200, what="healthz needs no token")
    for path in ("/readyz", "/status", "/metrics"):
        code, text = process.get(path)
        assert code == 401 and "c4nary" not in text
    until(
        lambda: run_command("status", "-c", process.file, "--ready").returncode == 0,
        what="status sends the token",
        every=0.2,
    )


def test_status_finds_a_relay_that_listens_on_ipv6(db, relay):
    process = relay({**to_discard(db), "admin": {"listen": f"[::1]:{free_port()}"}}).wait_ready()
    assert run_command("status", "-c", process.file, "--ready").returncode == 0


def test_d6_a_port_that_is_taken_is_exit_2_by_name(db, relay):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = relay({**to_discard(db), "admin": {"listen": address}})
        assert process.wait_exit() == 2
        assert address in process.log() and "already in use" in process.log().lower()
    assert db.value("SELECT count(*) FROM walrelay.progress") == 0


@pytest.mark.parametrize("form", ["text", "json"])
def test_names_of_tables_stay_on_one_line_of_the_log_whatever_they_hold(form, db, relay):
    hostile = 'a"b\\c\n2026-01-01T00:00:00Z error forged\td\x01ü{"level":"x"}'
    quoted = '"' + hostile.replace('"', '""') + '"'
    db.sql(f"CREATE TABLE {quoted} (n int)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE {quoted}")
    process = relay(to_discard(db, log={"format": form}))
    assert process.wait_exit() == 2
    lines = process.log().splitlines()
    assert "has no route" in lines[-1] and "forged" in lines[-1]
    if form == "json":
        entries = [json.loads(line) for line in lines]
        assert all(set(entry) == {"time", "level", "message"} for entry in entries)
    else:
        assert all(line.startswith("20") and not line.startswith("2026-01-01T00") for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_text_from_rows_and_endpoints_stays_on_one_line_of_the_log(form, db, receiver, relay):
    receiver.answer(Reply(404))
    sinks = {"endpoint": {"http": {"url": receiver.url + "/{topic}"}}}
    settings = config(db, sinks, [outbox_to("endpoint")], log={"format": form})
    process = relay(settings).wait_ready()
    db.sql(
        "SELECT walrelay.emit(E'a\\nb\\x1b[31m\"', '{}',"
        " key => E'k\\n2026-01-01T00:00:00Z error forged')"
    )
    process.wait_not_ready("HTTP 404")
    process.wait_log("HTTP 404")
    assert "\x1b" not in process.log()
    for line in process.log().splitlines():
        if form == "json":
            json.loads(line)
        else:
            assert line.startswith("20") and not line.startswith("2026-01-01T00"), line
