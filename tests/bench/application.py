"""What an application pays for its events: pgbench with and without them, the relay at work."""

import contextlib
import dataclasses
import re
import subprocess

import drains
import workloads
from bench import note
from support.cluster import debian_postgres

clients = 8

_tables = """
    CREATE TABLE customers (id int PRIMARY KEY, spent bigint NOT NULL) WITH (fillfactor = 50);
    INSERT INTO customers SELECT i, 0 FROM generate_series(1, 10000) i;
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer int NOT NULL, total int NOT NULL, at timestamptz NOT NULL DEFAULT now());
    VACUUM ANALYZE customers;
"""
_business = r"""
\set customer random(1, 10000)
\set total random(1, 500)
BEGIN;
INSERT INTO orders (customer, total) VALUES (:customer, :total);
UPDATE customers SET spent = spent + :total WHERE id = :customer;
%s
COMMIT;
"""
_body = (
    "jsonb_build_object('customer', :customer::int, 'total', :total::int, 'state', 'placed',"
    " 'text', repeat('an order ', 20))"
)
_emit = f"SELECT walrelay.emit('orders.placed', {_body}, 'customer-' || :customer);"
_enqueue = f"SELECT walrelay.enqueue_workflow('ship order', input => {_body});"


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
        source.database.psql(script=_tables)
        contenders = {
            "alone": lambda: alone(bench, source, seconds),
            "kafka": lambda: into_kafka(bench, source, seconds),
            "http": lambda: to_http(bench, source, seconds, "http", "walrelay.outbox", _emit),
        }
        if source.database.value("SELECT to_regproc('walrelay.enqueue_workflow') IS NOT NULL"):
            contenders["workflow"] = lambda: to_http(
                bench, source, seconds, "workflow", "walrelay.dispatch", _enqueue
            )
        pgbench(bench, source, 2, "")  # the first one touches every page
        for results in bench.turns(contenders):
            for name, result in results.items():
                if name != "alone":
                    bench.figures.add(f"tps, {name}", result.tps / results["alone"].tps)
        source.drop()


def alone(bench, source, seconds):
    return noted(bench, "alone", pgbench(bench, source, seconds, ""))


def into_kafka(bench, source, seconds):
    topic = bench.broker.create_topic(partitions=drains.partitions)
    sink = {"kafka": {"brokers": bench.broker.bootstrap, "properties": drains.kafka_properties}}
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
            result = pgbench(bench, source, seconds, statement)
            result.seconds_behind = drains.seconds_until_delivered(relay, result.transactions)
            if relay.delivered("out") != result.transactions:
                raise RuntimeError(f"{relay.delivered('out')} of {result.transactions} delivered")
    return noted(bench, name, result)


def pgbench(bench, source, seconds, statement):
    script = bench.folder / "application.sql"
    script.write_text(_business % statement, encoding="ascii")
    cluster = source.database.cluster
    done = subprocess.run(
        [
            str(debian_postgres() / "bin/pgbench"),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={clients}",
            f"--time={seconds}",
            f"--file={script}",
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
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    count = re.search(r"actually processed: ([0-9]+)", done.stdout)
    failed = re.search(r"failed transactions: ([0-9]+)", done.stdout)
    if done.returncode or not rate or not count or (failed and int(failed[1])):
        raise RuntimeError(f"pgbench: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return Application(float(rate[1]), int(count[1]))


def noted(bench, name, result):
    behind = "" if result.seconds_behind is None else f"  {result.seconds_behind:.2f} s behind"
    note(f"tps: {name:<10} {result.tps:>8,.0f} transactions/s{behind}")
    bench.figures.add_run(f"tps: {name}", result)
    return result
