"""Speed and memory of the relay, as ratios to baselines of the same run: `./dev bench`.

Contenders take turns in rotated order, round after round; the table shows medians over the rounds.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import signal
import statistics
import sys
import tempfile

source_folder = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(source_folder / "tests" / "e2e"))

import confluent_kafka  # noqa: E402

import drains  # noqa: E402
import latency  # noqa: E402
import workloads  # noqa: E402
from support.broker import Broker  # noqa: E402

http_rate = 1000
kafka_rate = 500
mebibyte = 1024 * 1024

# figure, unit, must, aim, whether more is better
targets = {
    "discard/L": ("drain to discard ÷ pg_recvlogical, L", "", 1.0, 1.5, True),
    "discard/S": ("drain to discard ÷ pg_recvlogical, S", "", 1.3, 2.2, True),
    "kafka/L": ("drain into Kafka ÷ bare eager loop, L", "", 0.9, 1.1, True),
    "kafka/S": ("drain into Kafka ÷ bare eager loop, S", "", 1.2, 1.8, True),
    "cpu/L": ("relay's CPU s per million rows, Kafka, L", "s", 4, 2.5, False),
    "cpu/S": ("relay's CPU s per million rows, Kafka, S", "s", 9, 4, False),
    "http p50 ratio": ("commit → HTTP at 1k/s: p50 ÷ raw walsender's", "", 4, 2.5, False),
    "http p99": ("commit → HTTP at 1k/s: p99", "ms", 10, 5, False),
    "consumer p50": ("commit → Kafka consumer at 500/s: p50", "ms", 3, 1, False),
    "consumer p99": ("commit → Kafka consumer at 500/s: p99", "ms", 15, 5, False),
    "rss kafka": ("peak RSS, Kafka", "MiB", 96, 48, False),
    "rss http": ("peak RSS, HTTP", "MiB", 48, 24, False),
    "rss discard": ("peak RSS, discard", "MiB", 48, 24, False),
}


def note(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, options, folder):
        self.only = options.only
        self.workloads = workloads.quick if options.quick else workloads.full
        self.rounds = options.rounds or (1 if options.quick else 3)
        self.seconds = 5 if options.quick else 15
        self.baselines_only = options.baselines
        self.folder = folder
        self.cluster = workloads.bench_cluster()
        self.broker = Broker()
        self.warm_up_broker()
        self.figures = collections.defaultdict(list)  # one value a round
        self.measured = collections.defaultdict(list)  # every run, for the file

    def warm_up_broker(self):
        """The first idempotent producer waits for the broker to make a topic of its own."""
        topic = self.broker.create_topic()
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": self.broker.bootstrap, "enable.idempotence": True, "log_level": 2}
        )
        producer.produce(topic, b"warm")
        if producer.flush(60):
            raise RuntimeError("the broker takes no record")
        self.broker.delete_topic(topic)

    def close(self):
        self.broker.close()
        self.cluster.close()

    def wants(self, name):
        return not self.only or name in self.only

    # Drains

    def contenders(self, source, workload):
        every = {
            "pg_recvlogical": lambda: drains.pg_recvlogical(source, workload),
            "relay, discard": lambda: drains.relay_discard(source, workload, self.folder),
            "eager loop": lambda: drains.eager_loop(source, workload, self.broker),
            "relay, kafka": lambda: drains.relay_kafka(source, workload, self.folder, self.broker),
        }
        if self.baselines_only:
            return {name: run for name, run in every.items() if not name.startswith("relay")}
        return every

    def drain(self, workload):
        """All contenders in each round, in rotated order; HTTP once, for its memory."""
        note(
            f"{workload.name}: loading {workload.rows:,} rows"
            f" in {workload.transactions:,} transactions"
        )
        source = workloads.Source(self.cluster)
        source.load(workload)
        contenders = self.contenders(source, workload)
        if workload.name == "X":  # only the memory counts
            contenders = {name: run for name, run in contenders.items() if name.startswith("relay")}
        names = list(contenders)
        for number in range(self.rounds if workload.name != "X" else 1):
            turn = names[number % len(names) :] + names[: number % len(names)] if names else []
            results = {name: self.run_drain(workload, name, contenders[name]) for name in turn}
            if workload.name != "X" and not self.baselines_only:
                self.add_ratios(workload.name, results)
        if not self.baselines_only:
            self.run_drain(
                workload, "relay, http", lambda: drains.relay_http(source, workload, self.folder)
            )
        source.drop()

    def run_drain(self, workload, name, run):
        result = run()
        note(
            f"{workload.name}: {name:<15} {result.rate:>9,.0f} rows/s"
            f"  {result.cpu_per_million:5.2f} CPU s/M  {result.peak_bytes / mebibyte:6.1f} MiB"
        )
        self.measured[f"{workload.name}: {name}"].append(vars(result))
        if name.startswith("relay, "):
            self.figures[f"rss {name.removeprefix('relay, ')}"].append(result.peak_bytes / mebibyte)
        return result

    def add_ratios(self, name, results):
        self.figures[f"discard/{name}"].append(
            results["relay, discard"].rate / results["pg_recvlogical"].rate
        )
        self.figures[f"kafka/{name}"].append(
            results["relay, kafka"].rate / results["eager loop"].rate
        )
        self.figures[f"cpu/{name}"].append(results["relay, kafka"].cpu_per_million)

    # Latency

    def latencies(self):
        source = workloads.Source(self.cluster)
        every = {
            "raw": lambda: latency.raw(source, self.folder, http_rate, self.seconds),
            "http": lambda: latency.http(source, self.folder, http_rate, self.seconds),
            "consumer": lambda: latency.kafka(
                source, self.folder, self.broker, kafka_rate, self.seconds
            ),
        }
        names = ["raw"] if self.baselines_only else list(every)
        for number in range(self.rounds):
            turn = names[number % len(names) :] + names[: number % len(names)]
            results = {}
            for name in turn:
                # This turn's copy of the slot begins after what earlier turns have committed.
                source.database.sql(
                    "SELECT pg_replication_slot_advance(%s, pg_current_wal_insert_lsn())",
                    [source.database.slot],
                )
                results[name] = every[name]()
                note(
                    f"latency: {name:<9} p50 {results[name].p50 * 1e3:6.3f} ms"
                    f"  p99 {results[name].p99 * 1e3:6.3f} ms"
                )
                self.measured[f"latency: {name}"].append(vars(results[name]))
            if not self.baselines_only:
                self.figures["http p50 ratio"].append(results["http"].p50 / results["raw"].p50)
                self.figures["http p99"].append(results["http"].p99 * 1e3)
                self.figures["consumer p50"].append(results["consumer"].p50 * 1e3)
                self.figures["consumer p99"].append(results["consumer"].p99 * 1e3)
        source.drop()

    # Results

    def results(self):
        """Medians over the rounds; memory is the largest of all runs."""
        return {
            name: max(values) if name.startswith("rss") else statistics.median(values)
            for name, values in self.figures.items()
        }

    def table(self):
        results = self.results()
        rows = [("figure", "measured", "must", "aim", "")]
        for name, (title, unit, must, aim, more) in targets.items():
            if name not in results:
                continue
            value = results[name]
            reached = [value >= goal if more else value <= goal for goal in (must, aim)]
            verdict = "aim" if reached[1] else "must" if reached[0] else "MISSED"
            rows.append((title, f"{value:.2f} {unit}".strip(), f"{must:g}", f"{aim:g}", verdict))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows
        )

    def write(self, file):
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            json.dumps(
                {
                    "machine": machine(),
                    "rounds": self.rounds,
                    "workloads": {
                        name: vars(workload) for name, workload in self.workloads.items()
                    },
                    "figures": self.results(),
                    "every_round": self.figures,
                    "runs": self.measured,
                },
                indent=2,
            ),
            encoding="utf-8",
        )


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next(
            (line.partition(":")[2].strip() for line in file if line.startswith("model name")), "?"
        )
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) // mebibyte
    return f"{os.cpu_count()} × {model}, {memory} GiB, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--quick", action="store_true", help="a fifth of the rows, one round")
    parser.add_argument(
        "--only",
        type=lambda text: set(text.split(",")),
        default=set(),
        help="some of L, S, X and latency",
    )
    parser.add_argument("--rounds", type=int, help="how often each contender runs")
    parser.add_argument("--baselines", action="store_true", help="without the relay")
    options = parser.parse_args()
    if options.only - {*workloads.full, "latency"}:
        parser.error("--only takes L, S, X and latency")

    # A SIGTERM ends it as Ctrl-C does, so that everything that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="wr-bench-") as folder:
        bench = Bench(options, pathlib.Path(folder))
        try:
            for name, workload in bench.workloads.items():
                if bench.wants(name):
                    bench.drain(workload)
            if bench.wants("latency"):
                bench.latencies()
        finally:
            bench.close()
    file = source_folder / "build" / "bench.json"
    bench.write(file)
    print(f"{machine()}\n\n{bench.table()}\n\nevery run: {file.relative_to(source_folder)}")


if __name__ == "__main__":
    main()
