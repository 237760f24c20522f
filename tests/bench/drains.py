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
    evenness: float = None  # rows/s of the last tenth ÷ those of the first
    cpu_evenness: float = None  # the same of rows per CPU second

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


def pg_recvlogical(source, socket=False):
    database = source.database
    with source.slot() as slot:
        start, end, _, usage = run_to_end(
            source,
            slot,
            [
                str(debian_postgres() / "bin/pg_recvlogical"),
                "-d",
                database.dsn(socket=socket),
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
    return measured(source.workload.rows, start, end, usage)


def eager_loop(source, broker):
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
                str(source.workload.rows),
                *properties,
            ],
        )
    broker.delete_topic(topic)
    return measured(source.workload.rows, start, int(output) / 1e9, usage)


def relay_settings(source, slot, sink, route=None, socket=False):
    """A sink map with the one sink `out`; over TCP unless `socket`."""
    database = source.database
    settings = support.relay.config(
        database,
        {"out": sink},
        [{"from": "walrelay.outbox", "to": "out", **(route or {})}],
        {"conninfo": database.dsn(user=database.relay_user, socket=socket), "slot": slot},
    )
    settings["log"] = {"level": "warning"}
    settings["sinks"]["out"].get("http", {}).pop("signing", None)  # no part of what is measured
    return settings


def relay(source, rows, folder, sink, route=None, socket=False):
    """The relay with a sink, to the delivery of the last of so many rows."""
    with source.slot() as slot:
        settings = relay_settings(source, slot, sink, route, socket)
        process = support.relay.Relay(settings, folder / slot)
        clock = StartClock(source.database, slot)
        process.start()
        try:
            try:
                start = clock.value()
            except RuntimeError as problem:
                raise RuntimeError(f"{problem}; the relay says:\n{process.log()[-3000:]}") from None
            samples = watch_delivery(process, rows, start)
            delivered, end, cpu = samples[-1]
            result = Drain(
                delivered, end - start, cpu, process.peak_memory(), *evenness(samples, rows)
            )
            process.stop(30)
        finally:
            process.close()
    return result


@contextlib.contextmanager
def ready_relay(settings, folder):
    process = support.relay.Relay(settings, folder)
    process.start()
    try:
        process.wait_ready(60)
        yield process
        process.stop(30)
    finally:
        process.close()


def seconds_until_delivered(process, count):
    start = time.monotonic()
    until(
        lambda: process.delivered("out") >= count,
        60,
        lambda: f"{count} are delivered, not {process.delivered('out')}",
        every=0.02,
    )
    return time.monotonic() - start


def watch_delivery(process, rows, start):
    """How far the delivery was when, and for how much CPU time, until all rows are delivered.

    Asks seldom while much is left, every 10 ms towards the end: it costs the relay a bit.
    """
    pause = threading.Event()
    samples = []
    while True:
        if not process.running():
            raise RuntimeError(f"the relay ended:\n{process.log()[-3000:]}")
        delivered = process.delivered("out") if process.get("/healthz")[0] else 0
        now = time.monotonic()
        samples.append((delivered, now, process.cpu_seconds()))
        if delivered >= rows:
            return samples
        if now - start > deadline:
            raise RuntimeError(
                f"{delivered} of {rows} delivered within {deadline} s:\n{process.log()[-3000:]}"
            )
        rate = max(delivered, 1) / (now - start)
        pause.wait(min(max((rows - delivered) / rate / 4, 0.01), 0.1))


def evenness(samples, rows):
    """Rate of the last tenth ÷ that of the first, by the clock and by CPU time.

    The first and the last hundredth are left out: the server reads a large transaction to its end
    before it sends the first row, and a sink's last answers come late.
    """

    def at(share):
        """Clock and CPU time at which that share was delivered, between two looks."""
        wanted = rows * share
        last = next(index for index, sample in enumerate(samples) if sample[0] >= wanted)
        if last == 0:
            return samples[0][1:]
        before, after = samples[last - 1], samples[last]
        part = (wanted - before[0]) / (after[0] - before[0])
        return tuple(before[i] + (after[i] - before[i]) * part for i in (1, 2))

    first, last = (
        tuple(end - begin for begin, end in zip(at(from_), at(to)))
        for from_, to in ((0.01, 0.11), (0.89, 0.99))
    )
    return tuple(a / b if a > 0 and b > 0 else None for a, b in zip(first, last))


def relay_discard(source, rows, folder, socket=False):
    return relay(source, rows, folder, {"discard": {}}, socket=socket)


def relay_kafka(source, rows, folder, broker, socket=False):
    topic = broker.create_topic(partitions=partitions)
    result = relay(
        source,
        rows,
        folder,
        {"kafka": {"brokers": broker.bootstrap, "properties": kafka_properties}},
        {"topic": topic, "key": "{key}"},
        socket,
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


def relay_http(source, rows, folder, socket=False):
    with http_sink() as url:
        return relay(source, rows, folder, {"http": {"url": url}}, socket=socket)
