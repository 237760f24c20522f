"""Descriptors, threads, disks, pipes and clients run out or misbehave: delivery goes on or says why."""

import contextlib
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import tempfile

import pytest

from support import canary
from support.events import Arrivals, emit, outbox_to, to_http, to_stdout
from support.processes import free_port
from support.receiver import Reply
from support.relay import Relay, binary, config
from support.wait import until

# A user that nothing else runs as: the limit on threads counts those of the whole machine.
lonely_user = 54_321


def at_most_files(count):
    return ["prlimit", f"--nofile={count}", "--"]


def numbers_on(process):
    return {event["payload"]["n"] for event in process.output()}


# Descriptors


def test_d3_connections_that_no_descriptor_is_left_for_wait_by_name_and_all_is_delivered(
    db, receiver, relay
):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    settings = to_http(db, receiver, http={"connections": 100})
    process = relay(settings, under=at_most_files(40))
    process.wait_log("streaming from slot")
    emit(db, 1, 100, keys=100)
    # The admin endpoint has no descriptor either; the log has one.
    process.wait_log("connect to 127.0.0.1:[0-9]+: Too many open files")
    assert process.running()
    receiver.answer(Reply())
    gate.open()
    until(
        lambda: len(Arrivals.of(list(receiver.requests)).distinct) == 100,
        30,
        "every event is delivered once descriptors are free again",
    )
    process.wait_ready(30)
    process.wait_settled(30)


def test_d3_too_few_descriptors_to_begin_with_are_an_error_by_name(db, relay):
    process = relay(to_stdout(db), under=at_most_files(4))
    assert process.wait_exit() > 0, "it ends by itself, and not as if all were well"
    assert "Too many open files" in process.log()


# Threads


@pytest.fixture
def without_threads(monkeypatch):
    """without_threads(settings): a relay that may start no thread, until allow(process)."""
    made = []
    with tempfile.TemporaryDirectory(prefix="walrelay-") as folder:
        # The other user must get at all of it.
        os.chmod(folder, 0o755)
        monkeypatch.setenv("WALRELAY_BIN", shutil.copy(binary(), folder))

        def make(settings):
            limit = ["prlimit", "--nproc=1:", "--"]
            user = as_lonely_user()
            made.append(Relay(settings, pathlib.Path(folder, "relay"), under=limit, **user))
            return made[-1].start()

        yield make
        for process in made:
            process.close()


def as_lonely_user():
    """Root's own limit is never looked at; of another user, the test's own processes count."""
    return {"user": lonely_user} if os.geteuid() == 0 else {}


def allow_threads(process):
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = "unlimited" if most == resource.RLIM_INFINITY else most
    command = ["prlimit", f"--pid={process.pid}", f"--nproc={limit}:"]
    group = {"group": lonely_user, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, **as_lonely_user(), **group)


@pytest.mark.parametrize("who", ["source", "sink"])
def test_d3_without_a_thread_to_look_up_a_name_it_waits_by_name_and_then_goes_on(
    who, db, receiver, without_threads
):
    settings = to_http(db, receiver)
    if who == "source":
        conninfo = settings["source"]["conninfo"]
        settings["source"]["conninfo"] = conninfo.replace("host=127.0.0.1", "host=localhost")
    else:
        sink = settings["sinks"]["endpoint"]["http"]
        sink["url"] = sink["url"].replace("127.0.0.1", "localhost")
    emit(db, 1)
    process = without_threads(settings)
    process.wait_log("resolve (host )?localhost.*Resource temporarily unavailable")
    assert process.running() and receiver.requests == []
    allow_threads(process)
    receiver.wait_for(1)
    process.wait_settled()


def test_d3_a_kafka_client_that_gets_no_threads_is_an_error_by_name(db, without_threads):
    sink = {"kafka": {"brokers": f"127.0.0.1:{free_port()}"}}
    process = without_threads(config(db, {"events": sink}, [outbox_to("events")]))
    assert process.wait_exit() == 2
    assert "thread" in process.log() and '"events"' in process.log()


# A full disk


def test_d4_a_full_disk_under_stdout_stalls_by_name_and_every_event_comes_later(db, relay):
    with open("/dev/full", "wb") as full:
        process = relay(to_stdout(db), stdout=full).wait_ready()
    emit(db, 1, 30)
    process.wait_log("write to stdout: No space left on device")
    assert process.running() and process.delivered("console") == 0
    assert process.stop() == 0
    again = relay(to_stdout(db)).wait_ready()
    until(lambda: numbers_on(again) == set(range(1, 31)), what="every event is in a whole line")


def test_d4_a_full_disk_under_the_log_costs_no_event(db, receiver, relay):
    with open("/dev/full", "wb") as full:
        process = relay(to_http(db, receiver), stderr=full).wait_ready()
    emit(db, 1, 20)
    receiver.wait_for(20)
    process.wait_settled()
    assert process.stop() == 0


# The admin endpoint


def open_sockets(pid):
    found = 0
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(entry).startswith("socket:")
    return found


def test_d6_hostile_clients_of_the_admin_endpoint_hold_up_no_event_and_are_bounded(
    db, receiver, relay
):
    process = relay(to_http(db, receiver, http={"connections": 4})).wait_ready()
    host, _, port = process.admin.removeprefix("http://").partition(":")
    before = process.peak_memory()
    with contextlib.ExitStack() as stack:

        def client(said=b""):
            made = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
            with contextlib.suppress(OSError):
                made.sendall(said)
            return made

        def drip():
            """One byte more of each header that never ends."""
            for one in slow:
                with contextlib.suppress(OSError):
                    one.sendall(b"x")
            return True

        token = b"authorization: Bearer " + canary.text.encode()
        never_reads = b"GET /metrics HTTP/1.1\r\nhost: x\r\n" + token + b"\r\n\r\n"
        never_reads *= 2000
        slow = [client(never_reads if n < 5 else b"GET / HTTP/1.1\r\nx: ") for n in range(100)]
        emit(db, 1, 500, keys=50)
        receiver.wait_for(500, 15)
        assert open_sockets(process.pid) < 50, "connections are bounded"
        until(
            lambda: drip() and process.get("/healthz", patience=1)[0] == 200,
            15,
            "bytes that trickle in don't keep a client",
            every=0.2,
        )
        for _ in range(10):
            client(b"GET / HTTP/1.1\r\nx: " + b"y" * (1 << 20))
        until(lambda: process.get("/healthz", patience=1)[0] == 200, 15, "large headers are refused")
        process.wait_settled()
    assert process.peak_memory() < before + (8 << 20)


# Whoever reads log and stdout


def test_d8_a_log_that_nobody_reads_holds_up_no_event_and_is_there_when_it_is_read(
    db, receiver, relay
):
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader:
        with open(writing, "wb", buffering=0) as writer:
            os.set_blocking(writing, False)
            while writer.write(b"x" * 4096):
                pass
            os.set_blocking(writing, True)
            process = relay(to_http(db, receiver), stderr=writer)
        process.wait_ready()
        emit(db, 1, 20)
        receiver.wait_for(20)
        process.wait_settled()
        os.set_blocking(reading, False)
        said = bytearray()
        until(
            lambda: said.extend(reader.read(1 << 20) or b"") or b"streaming from slot" in said,
            what="the lines that waited are written",
        )
        assert process.stop() == 0


def test_d8_a_reader_of_the_log_that_leaves_ends_nothing(db, receiver, relay):
    reading, writing = os.pipe()
    process = relay(to_http(db, receiver), stderr=writing)
    os.close(writing)
    os.close(reading)
    process.wait_ready()
    emit(db, 1, 20)
    receiver.wait_for(20)
    process.wait_settled()
    assert process.stop() == 0


def test_d8_a_closed_stderr_is_not_taken_for_a_connection(db, receiver, relay):
    """Else the first connection would get its number, and the log be written into it."""
    process = relay(to_http(db, receiver), under=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    process.wait_ready()
    emit(db, 1, 20)
    receiver.wait_for(20)
    process.wait_settled()
    links = {os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (0, 1, 2)}
    assert links == {"/dev/null"}
    assert process.stop() == 0


def test_d8_a_closed_stdout_is_no_sink_that_delivers(db, relay):
    process = relay(to_stdout(db), under=["sh", "-c", 'exec "$@" >&-', "sh"]).wait_ready()
    emit(db, 1, 5)
    process.wait_not_ready("sink console stalls.*write to stdout: Bad file descriptor")
    assert process.delivered("console") == 0
