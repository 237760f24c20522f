"""What all groups of the benchmark share: servers, a folder, and the order of the contenders."""

import sys

import confluent_kafka

import workloads
from figures import Figures, mebibyte
from support.broker import Broker

warm_up_records = 300_000


def note(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    """Cluster and broker start when they are first asked for; close() ends them."""

    def __init__(self, folder, rounds, quick):
        self.folder = folder
        self.rounds = rounds
        self.quick = quick
        self.figures = Figures()
        self.small_peak = None  # bytes; see backlog.memory_of_few_rows
        self._cluster = None
        self._broker = None

    @property
    def cluster(self):
        if not self._cluster:
            self._cluster = workloads.bench_cluster()
        return self._cluster

    @property
    def broker(self):
        if not self._broker:
            self._broker = Broker()
            self._warm_up_broker()
        return self._broker

    def _warm_up_broker(self):
        """A Java program needs some hundred thousand records until it runs at its speed.

        The first idempotent producer also waits for the broker to make a topic of its own.
        """
        note("broker: warming up")
        topic = self._broker.create_topic()
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self._broker.bootstrap,
                "enable.idempotence": True,
                "compression.codec": "lz4",
                "linger.ms": 5,
                "queue.buffering.max.messages": warm_up_records,
                "log_level": 2,
            }
        )
        for number in range(warm_up_records):
            producer.produce(topic, f"order {number}: paid ".encode() * 15, str(number))
            if number % 100 == 0:
                producer.poll(0)
        if producer.flush(120):
            raise RuntimeError("the broker takes no record")
        self._broker.delete_topic(topic)

    def close(self):
        for server in (self._broker, self._cluster):
            if server:
                server.close()

    def source(self, workload):
        """A database with the workload's backlog; the caller drops it."""
        note(
            f"{workload.name}: loading {workload.rows:,} rows"
            f" in {workload.transactions:,} transactions"
        )
        source = workloads.Source(self.cluster)
        megabytes = source.load(workload) / 1e6
        note(f"{workload.name}: {megabytes:,.0f} MB of WAL")
        return source

    def turns(self, contenders, rounds=None):
        """Runs all contenders in each round, in rotated order; the results of a round by name."""
        names = list(contenders)
        for number in range(rounds or self.rounds):
            first = number % len(names)
            turn = names[first:] + names[:first]
            yield {name: contenders[name]() for name in turn}

    def drain(self, group, name, run):
        """Notes a drain. The sink of a relay is the word behind "relay, "."""
        result = run()
        note(
            f"{group}: {name:<22} {result.rate:>9,.0f} rows/s"
            f"  {result.cpu_per_million:5.2f} CPU s/M  {result.peak_bytes / mebibyte:6.1f} MiB"
        )
        self.figures.add_run(f"{group}: {name}", result)
        if name.startswith("relay, "):
            sink = name.split(", ")[1]
            self.figures.add(f"rss {sink}", result.peak_bytes / mebibyte)
        return result
