"""One drain: a contender reads a copy of the slot to the end of the loaded WAL.

Its clock starts when the server has accepted START_REPLICATION, so with every program loaded and
connected, and ends with the last delivery.
"""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import threading
import time

import support.relay
from support.cluster import debian_postgres, source_folder
from support.processes import spawn
from support.wait import until

kafka_properties = {"compression.codec": "lz4", "linger.ms": "5"}
partitions = 4
deadline = 900
programs = pathlib.Path(
    os.environ.get("WALRELAY_BENCH_PROGRAMS") or source_folder / "build/release/tests/bench"
)


@dataclasses.dataclass
class Drain:
    rows: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def rate(self):
        return self.rows / self.seconds

    @property
    def cpu_per_million(self):
        return self.cpu_seconds / self.rows * 1e6


def program(name):
    path = programs / f"bench_{name}"
    if not path.exists():
        raise RuntimeError(f"{path} is missing: run ./dev bench")
    return str(path)


class StartClock:
    """The time at which the slot became active, looked at every millisecond from a thread."""

    def __init__(self, database, slot):
        self._connection = database.conn()
        self._slot = slot
        self._cancelled = threading.Event()
        self.started = None
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        with contextlib.closing(self._connection), self._connection.cursor() as cursor:
            while not self._cancelled.wait(0.001):
                cursor.execute(
                    "SELECT active FROM pg_replication_slots WHERE slot_name = %s", [self._slot]
                )
                if cursor.fetchone() == (True,):
                    self.started = time.monotonic()
                    return

    def value(self):
        self._thread.join(60)
        if self.started is None:
            self._cancelled.set()
            raise RuntimeError(f"nothing has read the slot {self._slot}")
        return self.started


def run_to_end(source, slot, argv):
    """Runs a program that ends by itself: start, end, its output and what it used."""
    clock = StartClock(source.database, slot)
    process = spawn(argv, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    end = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]}: exit {process.returncode}")
    return clock.value(), end, output, usage


def measured(rows, start, end, usage):
    return Drain(rows, end - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def pg_recvlogical(source, workload):
    database = source.database
    with source.slot() as slot:
        start, end, _, usage = run_to_end(
            source,
            slot,
            [
                str(debian_postgres() / "bin/pg_recvlogical"),
                "-d",
                database.dsn(),
                "-S",
                slot,
                "--start",
                "--no-loop",
                "-f",
                "/dev/null",
                "-o",
                "proto_version=1",
                "-o",
                f"publication_names={database.publication}",
                "-E",
                source.end,
            ],
        )
    return measured(workload.rows, start, end, usage)


def eager_loop(source, workload, broker):
    database = source.database
    topic = broker.create_topic(partitions=partitions)
    properties = [f"{name}={value}" for name, value in kafka_properties.items()]
    with source.slot() as slot:
        start, _, output, usage = run_to_end(
            source,
            slot,
            [
                program("eager_loop"),
                database.dsn(),
                slot,
                database.publication,
                broker.bootstrap,
                topic,
                str(workload.rows),
                *properties,
            ],
        )
    broker.delete_topic(topic)
    return measured(workload.rows, start, int(output) / 1e9, usage)


def relay_settings(source, slot, sink, route=None):
    """A sink map with the one sink `out`; over TCP, as the baselines."""
    settings = support.relay.config(
        source.database, {"out": sink}, [{"from": "walrelay.outbox", "to": "out", **(route or {})}]
    )
    settings["source"]["slot"] = slot
    settings["log"] = {"level": "warning"}
    return settings


def relay(source, workload, folder, sink, route=None):
    """The relay with a sink, to its last delivery."""
    with source.slot() as slot:
        process = support.relay.Relay(relay_settings(source, slot, sink, route), folder / slot)
        clock = StartClock(source.database, slot)
        process.start()
        try:
            try:
                start = clock.value()
            except RuntimeError as problem:
                raise RuntimeError(f"{problem}; the relay says:\n{process.log()[-3000:]}") from None
            wait_delivered(process, workload.rows, start)
            end = time.monotonic()
            result = Drain(workload.rows, end - start, process.cpu_seconds(), process.peak_memory())
            process.stop(30)
        finally:
            process.close()
    return result


def wait_delivered(process, rows, start):
    """Asks seldom while much is left, every 10 ms towards the end: it costs the relay a bit."""
    pause = threading.Event()
    while True:
        if not process.running():
            raise RuntimeError(f"the relay ended:\n{process.log()[-3000:]}")
        delivered = process.delivered("out") if process.get("/healthz")[0] else 0
        now = time.monotonic()
        if delivered >= rows:
            return
        if now - start > deadline:
            raise RuntimeError(
                f"{delivered} of {rows} delivered within {deadline} s:\n{process.log()[-3000:]}"
            )
        rate = max(delivered, 1) / (now - start)
        pause.wait(min(max((rows - delivered) / rate / 4, 0.01), 0.25))


def relay_discard(source, workload, folder):
    return relay(source, workload, folder, {"discard": {}})


def relay_kafka(source, workload, folder, broker):
    topic = broker.create_topic(partitions=partitions)
    result = relay(
        source,
        workload,
        folder,
        {"kafka": {"brokers": broker.bootstrap, "properties": kafka_properties}},
        {"topic": topic, "key": "{key}"},
    )
    broker.delete_topic(topic)
    return result


@contextlib.contextmanager
def http_sink(*arguments):
    """The fast endpoint's URL; with a file as argument it notes keys and times there at the end."""
    process = spawn([program("http_sink"), *arguments], stdout=subprocess.PIPE)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        end_program(process)


def end_program(process):
    process.terminate()
    until(lambda: process.poll() is not None, 30, "a program of the benchmark ends")


def relay_http(source, workload, folder):
    with http_sink() as url:
        return relay(source, workload, folder, {"http": {"url": url}})
