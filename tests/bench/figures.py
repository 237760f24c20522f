"""What the benchmark shows: each figure with what it must reach and what it aims at."""

import collections
import dataclasses
import json
import os
import platform
import statistics

mebibyte = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Target:
    title: str
    unit: str
    must: float
    aim: float
    more: bool = True  # whether more is better

    def verdict(self, value):
        reached = [value >= goal if self.more else value <= goal for goal in (self.must, self.aim)]
        return "aim" if reached[1] else "must" if reached[0] else "MISSED"


def _at_least(title, must, aim, unit=""):
    return Target(title, unit, must, aim)


def _at_most(title, must, aim, unit=""):
    return Target(title, unit, must, aim, more=False)


# In the order of the table.
targets = {
    "discard/L": _at_least("drain to discard ÷ pg_recvlogical, TCP, L", 1.0, 1.5),
    "discard/S": _at_least("drain to discard ÷ pg_recvlogical, TCP, S", 1.3, 2.2),
    "discard, socket/L": _at_least("drain to discard ÷ pg_recvlogical, socket, L", 0.95, 1.1),
    "discard, socket/S": _at_least("drain to discard ÷ pg_recvlogical, socket, S", 1.0, 1.2),
    "kafka/L": _at_least("drain into Kafka ÷ bare eager loop, both TCP, L", 0.9, 1.1),
    "kafka/S": _at_least("drain into Kafka ÷ bare eager loop, both TCP, S", 1.2, 1.8),
    "kafka, socket/L": _at_least("drain into Kafka, socket ÷ bare eager loop, TCP, L", 1.0, 1.4),
    "kafka, socket/S": _at_least("drain into Kafka, socket ÷ bare eager loop, TCP, S", 1.5, 2.2),
    "cpu/L": _at_most("relay's CPU s per million rows, Kafka, TCP, L", 4, 2.5, "s"),
    "cpu/S": _at_most("relay's CPU s per million rows, Kafka, TCP, S", 9, 4, "s"),
    "http": _at_least("HTTP requests/s ÷ wrk, 32 connections each", 0.3, 0.5),
    "http, many keys": _at_least("HTTP: 100,000 keys ÷ 10,000", 0.8, 0.95),
    "http, one key": _at_least("HTTP: one key ÷ wrk with one connection", 0.3, 0.5),
    "kafka, many keys": _at_least("Kafka: 100,000 keys ÷ 10,000", 0.8, 0.95),
    "kafka, one key": _at_least("Kafka: one key ÷ 10,000", 0.7, 0.9),
    "http p50 ratio": _at_most("commit → HTTP at 1k/s: p50 ÷ raw walsender's", 4, 2.5),
    "http p99": _at_most("commit → HTTP at 1k/s: p99", 10, 5, "ms"),
    "consumer p50": _at_most("commit → Kafka consumer at 500/s: p50", 3, 1, "ms"),
    "consumer p99": _at_most("commit → Kafka consumer at 500/s: p99", 15, 5, "ms"),
    "tps, kafka": _at_least("application's tps with outbox and relay, Kafka ÷ without", 0.7, 0.85),
    "tps, http": _at_least("application's tps with outbox and relay, HTTP ÷ without", 0.7, 0.85),
    "tps, workflow": _at_least("application's tps with enqueue_workflow ÷ without", 0.7, 0.85),
    "rss kafka": _at_most("peak RSS, Kafka", 96, 48, "MiB"),
    "rss http": _at_most("peak RSS, HTTP", 48, 24, "MiB"),
    "rss discard": _at_most("peak RSS, discard", 48, 24, "MiB"),
}
for _name, _what in {
    "L": "500 MB backlog",
    "X": "1 M-row transaction",
    "B": "5 GB backlog",
    "G": "10 M-row transaction",
}.items():
    targets[f"flat rss/{_name}"] = _at_most(f"peak RSS, {_what} ÷ 20,000 rows", 1.5, 1.2)
    targets[f"flat rate/{_name}"] = _at_least(
        f"rows/s, last tenth ÷ first tenth, {_what}", 0.8, 0.95
    )


class Figures:
    """One value a round for each figure, and every single run for the file."""

    def __init__(self):
        self._rounds = collections.defaultdict(list)
        self._runs = collections.defaultdict(list)

    def add(self, name, value):
        if name not in targets:
            raise KeyError(name)
        self._rounds[name].append(value)

    def add_run(self, name, result):
        self._runs[name].append(dataclasses.asdict(result))

    def results(self):
        """Medians over the rounds; memory is the largest of all runs."""
        return {
            name: max(values) if name.startswith("rss") else statistics.median(values)
            for name, values in self._rounds.items()
        }

    def table(self):
        results = self.results()
        rows = [("figure", "measured", "must", "aim", "")]
        for name, target in targets.items():
            if name in results:
                value = results[name]
                shown = f"{value:.2f} {target.unit}".strip()
                goals = (f"{target.must:g}", f"{target.aim:g}")
                rows.append((target.title, shown, *goals, target.verdict(value)))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows
        )

    def write(self, file, **facts):
        """Everything as JSON, with facts about the run before it."""
        file.parent.mkdir(exist_ok=True)
        content = {
            "machine": machine(),
            **facts,
            "figures": self.results(),
            "every_round": self._rounds,
            "runs": self._runs,
        }
        file.write_text(json.dumps(content, indent=2), encoding="utf-8")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next(
            (line.partition(":")[2].strip() for line in file if line.startswith("model name")), "?"
        )
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) // mebibyte
    return f"{os.cpu_count()} × {model}, {memory} GiB, Linux {platform.release()}"
