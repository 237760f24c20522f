"""How long a commit takes to arrive, at a steady rate: from just before COMMIT is sent."""

import dataclasses
import subprocess

from support.processes import spawn
from support.wait import until

import drains
import workloads
from bench import note

http_rate = 1000  # commits a second
kafka_rate = 500
warm_up = 1  # seconds whose commits don't count


@dataclasses.dataclass
class Latency:
    p50: float  # seconds
    p99: float
    commits: int


def read_times(file):
    with open(file, encoding="ascii") as lines:
        return {key: int(at) for key, at in (line.split() for line in lines)}


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def evaluate(commits_file, arrivals_file, rate):
    """Every commit must have arrived; those of the warm-up are left out of the figures."""
    commits, arrived = read_times(commits_file), read_times(arrivals_file)
    missing = commits.keys() - arrived.keys()
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(commits)} commits never arrived")
    taken = sorted(
        (arrived[key] - at) / 1e9 for key, at in commits.items() if int(key) >= rate * warm_up
    )
    return Latency(percentile(taken, 0.5), percentile(taken, 0.99), len(taken))


def pace(source, rate, seconds, file):
    """Commits at the rate; returns once all are committed."""
    process = spawn(
        [drains.program("pacer"), source.database.dsn(), str(rate), str(rate * seconds), str(file)]
    )
    if process.wait(seconds * 10 + 30):
        raise RuntimeError("the pacer failed")


def wait_active(source, slot):
    until(
        lambda: source.database.value(
            "SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot]
        ),
        30,
        f"slot {slot} is read",
        every=0.05,
    )


def wait_caught_up(source, slot):
    """Until the reader of the slot was sent everything; the raw reader acknowledges nothing."""
    end = source.database.value("SELECT pg_current_wal_insert_lsn()::text")
    until(
        lambda: source.database.value(
            "SELECT sent_lsn >= %s FROM pg_stat_replication r JOIN pg_replication_slots s"
            " ON r.pid = s.active_pid WHERE slot_name = %s",
            [end, slot],
        ),
        30,
        "the reader has caught up",
        every=0.05,
    )


def raw(source, folder, rate, seconds):
    """The bare walsender with a reader that only notes the time."""
    database = source.database
    with source.slot() as slot:
        commits, arrivals = folder / f"{slot}.commits", folder / f"{slot}.arrivals"
        reader = spawn(
            [
                drains.program("raw_reader"),
                database.dsn(),
                slot,
                database.publication,
                str(arrivals),
            ]
        )
        try:
            wait_active(source, slot)
            pace(source, rate, seconds, commits)
            wait_caught_up(source, slot)
        finally:
            drains.end_program(reader)
    return evaluate(commits, arrivals, rate)


def http(source, folder, rate, seconds):
    with source.slot() as slot:
        commits, arrivals = folder / f"{slot}.commits", folder / f"{slot}.arrivals"
        with drains.http_sink(str(arrivals)) as url:
            settings = drains.relay_settings(source, slot, {"http": {"url": url}})
            with drains.ready_relay(settings, folder / slot) as process:
                pace(source, rate, seconds, commits)
                drains.seconds_until_delivered(process, rate * seconds)
    return evaluate(commits, arrivals, rate)


def kafka(source, folder, broker, rate, seconds):
    topic = broker.create_topic(partitions=drains.partitions)
    with source.slot() as slot:
        commits, arrivals = folder / f"{slot}.commits", folder / f"{slot}.arrivals"
        properties = {**drains.kafka_properties, "linger.ms": "0"}
        settings = drains.relay_settings(
            source,
            slot,
            {"kafka": {"brokers": broker.bootstrap, "properties": properties}},
            {"topic": topic, "key": "{key}"},
        )
        reader = spawn(
            [
                drains.program("kafka_reader"),
                broker.bootstrap,
                topic,
                str(drains.partitions),
                str(arrivals),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            with drains.ready_relay(settings, folder / slot) as process:
                pace(source, rate, seconds, commits)
                drains.seconds_until_delivered(process, rate * seconds)
        finally:
            drains.end_program(reader)
    broker.delete_topic(topic)
    return evaluate(commits, arrivals, rate)


def measure(bench):
    """The raw walsender, HTTP and a Kafka consumer in turn."""
    source = workloads.Source(bench.cluster)
    seconds = 4 if bench.quick else 8
    contenders = {
        "raw": lambda: raw(source, bench.folder, http_rate, seconds),
        "http": lambda: http(source, bench.folder, http_rate, seconds),
        "consumer": lambda: kafka(source, bench.folder, bench.broker, kafka_rate, seconds),
    }

    def noting(name, run):
        def turn():
            source.move_slot_on()
            result = run()
            note(
                f"latency: {name:<9} p50 {result.p50 * 1e3:6.3f} ms  p99 {result.p99 * 1e3:6.3f} ms"
            )
            bench.figures.add_run(f"latency: {name}", result)
            return result

        return turn

    for results in bench.turns({name: noting(name, run) for name, run in contenders.items()}):
        bench.figures.add("http p50 ratio", results["http"].p50 / results["raw"].p50)
        bench.figures.add("http p99", results["http"].p99 * 1e3)
        bench.figures.add("consumer p50", results["consumer"].p50 * 1e3)
        bench.figures.add("consumer p99", results["consumer"].p99 * 1e3)
    source.drop()
