"""The relay against another build of it, say that of the last release: `./dev bench --against BINARY`.

Both drain the same backlogs into each sink, in turns.
"""

import contextlib
import os
import statistics

import backlog
import drains


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
                return into[sink]()

        contenders = {
            (sink, which): lambda sink=sink, other=other: run(sink, other)
            for sink in into
            for which, other in (("this", None), ("other", path))
        }
        ratios = {sink: [] for sink in into}
        for results in bench.turns(contenders):
            for sink, found in ratios.items():
                found.append(results[sink, "this"].rate / results[sink, "other"].rate)
        source.drop()
        for sink, found in ratios.items():
            runs = " ".join(f"{ratio:.2f}" for ratio in sorted(found))
            lines.append(f"{name} into {sink}: {statistics.median(found):.2f}  ({runs})")
    print("this build's rows/s ÷ the other's, median of the rounds:", *lines, sep="\n")
