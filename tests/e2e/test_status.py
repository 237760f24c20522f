"""`walrelay status`: lag, and the one sentence that says what holds WAL back."""

import contextlib
import json

import pytest

from support.events import emit, to_discard, to_http
from support.processes import free_port
from support.receiver import Reply
from support.relay import run_command
from support.wait import until


def status(process):
    done = run_command("status", "-c", process.file, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_wal(process, part, deadline=30):
    """The sentence, once it says so."""
    until(
        lambda: part in status(process)["wal"],
        deadline,
        lambda: f"{part!r} in {status(process)['wal']!r}",
        every=0.3,
    )
    text = run_command("status", "-c", process.file).stdout
    [line] = [line for line in text.splitlines() if line.startswith("wal ")]
    assert part in line, text
    return line


@pytest.mark.every_major
def test_a_relay_that_flows_holds_nothing_back_and_a_stopped_one_is_to_be_started(
    db, receiver, relay
):
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1, 10)
    receiver.wait_for(10)
    process.wait_settled()
    wait_wal(process, "nothing holds WAL back: the slot keeps ")
    assert process.stop() == 0
    wait_wal(process, "held by nobody reading the slot")
    shown = status(process)
    assert "start the relay" in shown["wal"] and shown["relay"] is None
    before = shown["database"]["undelivered_bytes"]
    emit(db, 11, 1000)
    shown = status(process)
    assert shown["database"]["undelivered_bytes"] > before + 10_000
    assert shown["database"]["progress"]["age_seconds"] < 60


def test_a_url_that_stalls_is_named_with_its_sink_and_reason(db, receiver, relay):
    receiver.answer(Reply(404))
    process = relay(to_http(db, receiver)).wait_ready()
    emit(db, 1)
    process.wait_not_ready("HTTP 404")
    line = wait_wal(process, "held by sink endpoint: URL ")
    assert "/in stalls for" in line and "HTTP 404" in line and "the slot keeps" in line


def test_a_halt_that_could_not_be_written_down_at_once_is_written_down_later(
    db, receiver, relay
):
    process = relay(to_http(db, receiver, on_event_error="halt")).wait_ready()
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        connection.cursor().execute("SELECT FROM walrelay.progress FOR SHARE")
        db.sql("INSERT INTO walrelay.outbox (topic, payload, headers) VALUES ('t', '{}', '[]')")
        process.wait_not_ready("halted")
        process.wait_not_ready("lock timeout")
    until(lambda: status(process)["database"]["progress"]["halt"], 20, "the halt is recorded")
    until(lambda: "lock timeout" not in process.get("/readyz")[1], what="that is over")


def test_a_halt_holds_wal_and_is_still_told_once_the_relay_is_gone(db, receiver, relay):
    process = relay(to_http(db, receiver, on_event_error="halt")).wait_ready()
    db.sql("INSERT INTO walrelay.outbox (topic, payload, headers) VALUES ('t', '{}', '[]')")
    process.wait_not_ready("halted")
    wait_wal(process, "held by the halt: ")
    until(lambda: status(process)["database"]["progress"]["halt"], what="the halt is recorded")
    process.kill9()
    line = wait_wal(process, "nobody reading the slot")
    assert "which had halted" in line and "walrelay.outbox" in line


def until_slot_waits(db, statement):
    """Until the slot's catalog_xmin is what the statement gives: no transaction before it counts."""

    def look():
        db.sql("CHECKPOINT")  # notes which transactions run
        emit(db, 0)
        return db.value(
            "SELECT catalog_xmin::text = (" + statement + ") FROM pg_replication_slots"
            " WHERE slot_name = %s",
            [db.slot],
        )

    until(look, 30, "the slot waits for the transaction", every=0.3)


def test_a_prepared_transaction_that_holds_wal_is_named_with_what_ends_it(db, receiver, relay):
    gid = f"it's {db.name}"
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        emit(db, 1, cursor=connection.cursor())
        connection.cursor().execute("PREPARE TRANSACTION %s", [gid])
    process = relay(to_http(db, receiver)).wait_ready()
    until_slot_waits(
        db, f"SELECT transaction::text FROM pg_prepared_xacts WHERE database = '{db.name}'"
    )
    quoted = gid.replace("'", "''")
    line = wait_wal(process, f"held by a prepared transaction '{quoted}' since")
    assert f"ROLLBACK PREPARED '{quoted}'" in line
    assert status(process)["database"]["oldest_transaction"]["gid"] == gid
    db.sql("ROLLBACK PREPARED %s", [gid])
    wait_wal(process, "nothing holds WAL back")


def test_an_open_transaction_that_holds_wal_is_named_by_its_pid(db, receiver, relay):
    with contextlib.closing(db.conn(autocommit=False, application_name="report")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT pg_current_xact_id()::text, pg_backend_pid()")
        [[xid, pid]] = cursor.fetchall()
        process = relay(to_http(db, receiver)).wait_ready()
        until_slot_waits(db, f"SELECT '{xid}'")
        wait_wal(process, f"held by the transaction of pid {pid} (report)")
    wait_wal(process, "nothing holds WAL back")


def test_a_slot_that_is_missing_is_told(db, relay):
    process = relay(to_discard(db), start=False)
    db.sql("SELECT pg_drop_replication_slot(%s)", [db.slot])
    wait_wal(process, "the slot does not exist: walrelay check -c")


@pytest.mark.parametrize(
    ("conninfo", "code", "reason"),
    [("host=127.0.0.1 port={closed} user=x dbname=x", 7, "refused"), ("{nobody}", 2, "nobody")],
)
def test_a_database_that_does_not_answer_is_one_clear_line(db, relay, conninfo, code, reason):
    settings = to_discard(db)
    settings["source"]["conninfo"] = conninfo.format(
        closed=free_port(), nobody=db.dsn(user="nobody_at_all")
    )
    process = relay(settings, start=False)
    done = run_command("status", "-c", process.file)
    assert done.returncode == code and done.stderr == ""
    [line] = [line for line in done.stdout.splitlines() if line.startswith("database")]
    assert reason in line
    shown = json.loads(run_command("status", "-c", process.file, "-o", "json").stdout)
    assert reason in shown["database"]["error"] and "not known" in shown["wal"]


def test_the_relay_of_another_slot_is_not_taken_for_ours(db, more_dbs, relay):
    process = relay(to_discard(db)).wait_ready()
    other = relay({**to_discard(more_dbs()), "admin": process.admin_section}, start=False)
    assert status(other)["relay"] is None
    assert run_command("status", "-c", other.file, "--ready").returncode == 1
