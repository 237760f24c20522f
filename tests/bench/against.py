"""The relay against another build of it, say that of the last release: `./dev bench --against BINARY`.

Both drain the same backlogs into each sink, in turns.
"""

import contextlib
import os
import statistics

import backlog
import drains
from bench import note


@contextlib.contextmanager
def binary(path):
    before = os.environ.get("WALRELAY_BIN")
    if path:
        os.environ["WALRELAY_BIN"] = path
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("WALRELAY_BIN", None)
        else:
            os.environ["WALRELAY_BIN"] = before


def in_turn(this, other, number):
    """Who runs first also gets what the run before it left behind: they change with each round."""
    return (this, other) if number % 2 == 0 else (other, this)


def compare(bench, path):
    """Prints the median of this build's speed ÷ the other's, a line for each backlog and sink."""
    lines = []
    for name in ("L", "S"):
        source = bench.source(backlog.workload_of(bench, name))
        rows = source.workload.rows
        few = min(rows, backlog.http_rows)
        into = {
            "discard": lambda: drains.relay_discard(source, rows, bench.folder),
            "kafka": lambda: drains.relay_kafka(source, rows, bench.folder, bench.broker),
            "http": lambda: drains.relay_http(source, few, bench.folder),
        }

        def run(sink, other):
            with binary(other):
                return into[sink]().rate

        ratios = {sink: [] for sink in into}
        for number in range(bench.rounds):
            for sink, found in ratios.items():
                rates = [run(sink, other) for other in in_turn(None, path, number)]
                this, that = in_turn(*rates, number)
                found.append(this / that)
                note(f"{name} into {sink}: {this:,.0f} rows/s, the other {that:,.0f}")
        source.drop()
        for sink, found in ratios.items():
            runs = " ".join(f"{ratio:.2f}" for ratio in sorted(found))
            lines.append(f"{name} into {sink}: {statistics.median(found):.2f}  ({runs})")
    print("this build's rows/s ÷ the other's, median of the rounds:", *lines, sep="\n")
