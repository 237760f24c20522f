"""Requests a second against wrk's, and what few or many keys cost, over HTTP and into Kafka."""

import contextlib
import dataclasses
import pathlib
import re
import subprocess

import drains
import workloads
from bench import note

connections = 32
one_key_rows = 60_000  # one request at a time


@dataclasses.dataclass
class Requests:
    """What wrk reached."""

    rate: float
    connections: int


def http(bench):
    """wrk and the relay post bodies of the same size to the same server."""
    with sources(bench, shrink=2) as found:
        size = found["usual"].database.value(
            "SELECT avg(octet_length(payload::text))::int FROM walrelay.outbox"
        )
        seconds = 2 if bench.quick else 4

        def ours(name, rows=None):
            source = found[name]
            return lambda: bench.drain(
                "http",
                f"relay, http, {source.workload.name}",
                lambda: drains.relay_http(
                    source, rows or source.workload.rows, bench.folder, socket=True
                ),
            )

        contenders = {
            "wrk": lambda: wrk(bench, connections, size, seconds),
            "usual": ours("usual"),
            "many": ours("many"),
            "wrk, one": lambda: wrk(bench, 1, size, seconds),
            "one": ours("one", min(one_key_rows, found["one"].workload.rows)),
        }
        for results in bench.turns(contenders):
            rate = {name: result.rate for name, result in results.items()}
            bench.figures.add("http", rate["usual"] / rate["wrk"])
            bench.figures.add("http, many keys", rate["many"] / rate["usual"])
            bench.figures.add("http, one key", rate["one"] / rate["wrk, one"])


def kafka(bench):
    with sources(bench) as found:

        def ours(source):
            return lambda: bench.drain(
                "keys",
                f"relay, kafka, {source.workload.name}",
                lambda: drains.relay_kafka(
                    source, source.workload.rows, bench.folder, bench.broker, True
                ),
            )

        contenders = {name: ours(source) for name, source in found.items()}
        for results in bench.turns(contenders):
            usual = results["usual"].rate
            bench.figures.add("kafka, many keys", results["many"].rate / usual)
            bench.figures.add("kafka, one key", results["one"].rate / usual)


@contextlib.contextmanager
def sources(bench, shrink=1):
    found = {}
    with contextlib.ExitStack() as all_of_them:
        for name, workload in workloads.keys.items():
            fewer = dataclasses.replace(workload, transactions=workload.transactions // shrink)
            found[name] = bench.source(fewer.shrunk() if bench.quick else fewer)
            all_of_them.callback(found[name].drop)
        yield found


def wrk(bench, count, body_size, seconds):
    """wrk's rate; one thread of it, as the relay's loop has one."""
    with drains.http_sink() as url:
        done = subprocess.run(
            [
                "wrk",
                "--threads=1",
                f"--connections={count}",
                f"--duration={seconds}s",
                f"--script={pathlib.Path(__file__).with_name('post.lua')}",
                url,
                "--",
                str(body_size),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    rate = re.search(r"^Requests/sec:\s+([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not rate or re.search("Non-2xx|Socket errors", done.stdout):
        raise RuntimeError(f"wrk: exit {done.returncode}\n{done.stdout}{done.stderr}")
    result = Requests(float(rate[1]), count)
    note(f"http: wrk, {count} connections      {result.rate:>9,.0f} requests/s")
    bench.figures.add_run(f"http: wrk, {count}", result)
    return result
