"""What an application pays for its events: pgbench with and without them, the relay at work."""

import contextlib
import dataclasses
import re
import subprocess

import drains
import workloads
from bench import note
from support.cluster import debian_postgres

clients = 32  # a connection pool's
scale = 20  # of pgbench's tables: 2 M accounts
linger_ms = "20"  # requests cost the broker more than records do, and it shares our cores

# pgbench's own transaction (TPC-B), with one statement more.
_business = rf"""
\set aid random(1, {100000 * scale})
\set bid random(1, {scale})
\set tid random(1, {10 * scale})
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
    VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
%s
END;
"""
# As an application writes it: JSON as text.
_text = "a booking " * 20
_body = f"""'{{"account": :aid, "delta": :delta, "state": "booked", "text": "{_text}"}}'"""
_emit = f"SELECT walrelay.emit('accounts.booked', {_body}, 'account-:aid');"
_enqueue = f"SELECT walrelay.enqueue_workflow('notify', input => {_body});"


@dataclasses.dataclass
class Application:
    tps: float
    transactions: int
    seconds_behind: float = None  # how long the relay still delivered when the last had committed


def measure(bench):
    """Business alone, with `emit` into Kafka and to HTTP, with `enqueue_workflow` to HTTP."""
    seconds = 3 if bench.quick else 6
    with contextlib.closing(workloads.durable_cluster()) as cluster:
        source = workloads.Source(cluster)
        pgbench(source, "--initialize", "--quiet", f"--scale={scale}")
        contenders = {
            "alone": lambda: alone(bench, source, seconds),
            "kafka": lambda: into_kafka(bench, source, seconds),
            "http": lambda: to_http(bench, source, seconds, "http", "walrelay.outbox", _emit),
            "workflow": lambda: to_http(
                bench, source, seconds, "workflow", "walrelay.dispatch", _enqueue
            ),
        }
        business(bench, source, 3, "")  # the first one touches every page
        for results in bench.turns(contenders):
            for name, result in results.items():
                if name != "alone":
                    bench.figures.add(f"tps, {name}", result.tps / results["alone"].tps)
        source.drop()


def alone(bench, source, seconds):
    return noted(bench, "alone", business(bench, source, seconds, ""))


def into_kafka(bench, source, seconds):
    topic = bench.broker.create_topic(partitions=drains.partitions)
    properties = {**drains.kafka_properties, "linger.ms": linger_ms}
    sink = {"kafka": {"brokers": bench.broker.bootstrap, "properties": properties}}
    route = {"from": "walrelay.outbox", "topic": topic, "key": "{key}"}
    result = with_relay(bench, source, seconds, "kafka", sink, route, _emit)
    bench.broker.delete_topic(topic)
    return result


def to_http(bench, source, seconds, name, table, statement):
    with drains.http_sink() as url:
        return with_relay(
            bench, source, seconds, name, {"http": {"url": url}}, {"from": table}, statement
        )


def with_relay(bench, source, seconds, name, sink, route, statement):
    """Every event must have been delivered once, soon after the last transaction."""
    # Only the table of the route: the relay refuses one that has none.
    source.database.sql(
        f"ALTER PUBLICATION {source.database.publication} SET TABLE {route['from']}"
    )
    source.move_slot_on()
    with source.slot() as slot:
        settings = drains.relay_settings(source, slot, sink, route, socket=True)
        with drains.ready_relay(settings, bench.folder / slot) as relay:
            result = business(bench, source, seconds, statement)
            result.seconds_behind = drains.seconds_until_delivered(relay, result.transactions)
            if relay.delivered("out") != result.transactions:
                raise RuntimeError(f"{relay.delivered('out')} of {result.transactions} delivered")
    return noted(bench, name, result)


def business(bench, source, seconds, statement):
    script = bench.folder / "application.sql"
    script.write_text(_business % statement, encoding="ascii")
    said = pgbench(
        source,
        "--no-vacuum",
        f"--client={clients}",
        f"--time={seconds}",
        f"--file={script}",
    )
    rate = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    count = re.search(r"actually processed: ([0-9]+)", said)
    failed = re.search(r"failed transactions: ([0-9]+)", said)
    if not rate or not count or (failed and int(failed[1])):
        raise RuntimeError(f"pgbench: {said}")
    return Application(float(rate[1]), int(count[1]))


def pgbench(source, *options):
    """What it printed."""
    cluster = source.database.cluster
    done = subprocess.run(
        [
            str(debian_postgres() / "bin/pgbench"),
            *options,
            f"--host={cluster.socket_folder}",
            f"--port={cluster.port}",
            "--username=postgres",
            source.database.name,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"pgbench: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def noted(bench, name, result):
    behind = "" if result.seconds_behind is None else f"  {result.seconds_behind:.2f} s behind"
    note(f"tps: {name:<10} {result.tps:>8,.0f} transactions/s{behind}")
    bench.figures.add_run(f"tps: {name}", result)
    return result
