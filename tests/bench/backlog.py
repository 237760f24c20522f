"""How fast backlogs of several shapes are drained, and how much memory that takes."""

import drains
import workloads

http_rows = 200_000  # enough to fill whatever the HTTP sink may fill


def compare(bench, name):
    """L and S: the relay against pg_recvlogical and against the bare loop, over both links."""
    source = bench.source(workload_of(bench, name))
    rows = source.workload.rows
    contenders = {
        "pg_recvlogical": lambda: drains.pg_recvlogical(source),
        "pg_recvlogical, socket": lambda: drains.pg_recvlogical(source, socket=True),
        "relay, discard": lambda: drains.relay_discard(source, rows, bench.folder),
        "relay, discard, socket": lambda: drains.relay_discard(source, rows, bench.folder, True),
        "eager loop": lambda: drains.eager_loop(source, bench.broker),
        "relay, kafka": lambda: drains.relay_kafka(source, rows, bench.folder, bench.broker),
        "relay, kafka, socket": lambda: drains.relay_kafka(
            source, rows, bench.folder, bench.broker, True
        ),
    }
    pairs = {
        "discard": ("relay, discard", "pg_recvlogical"),
        "discard, socket": ("relay, discard, socket", "pg_recvlogical, socket"),
        "kafka": ("relay, kafka", "eager loop"),
        "kafka, socket": ("relay, kafka, socket", "eager loop"),
    }
    socket_drains = []
    for results in bench.turns(measured(bench, name, contenders)):
        for figure, (ours, baseline) in pairs.items():
            bench.figures.add(f"{figure}/{name}", results[ours].rate / results[baseline].rate)
        bench.figures.add(f"cpu/{name}", results["relay, kafka"].cpu_per_million)
        socket_drains.append(results["relay, discard, socket"])
    memory_of_http(bench, name, source)
    source.drop()
    if name == "L":
        add_flatness(bench, name, socket_drains)


def large_transaction(bench):
    """X: what a transaction of a million rows takes, into each sink."""
    source = bench.source(workload_of(bench, "X"))
    rows = source.workload.rows
    contenders = {"relay, discard": lambda: drains.relay_discard(source, rows, bench.folder, True)}
    found = [turn["relay, discard"] for turn in bench.turns(measured(bench, "X", contenders))]
    bench.drain(
        "X",
        "relay, kafka",
        lambda: drains.relay_kafka(source, rows, bench.folder, bench.broker),
    )
    memory_of_http(bench, "X", source)
    source.drop()
    add_flatness(bench, "X", found)


def enormous(bench, name):
    """B and G: gigabytes, once."""
    source = bench.source(workload_of(bench, name))
    found = bench.drain(
        name,
        "relay, discard",
        lambda: drains.relay_discard(source, source.workload.rows, bench.folder, True),
    )
    source.drop()
    add_flatness(bench, name, [found])


def workload_of(bench, name):
    workload = workloads.backlogs[name]
    return workload.shrunk() if bench.quick else workload


def measured(bench, group, contenders):
    def noting(name, run):
        return lambda: bench.drain(group, name, run)

    return {name: noting(name, run) for name, run in contenders.items()}


def memory_of_http(bench, name, source):
    rows = min(source.workload.rows, http_rows)
    bench.drain(name, "relay, http", lambda: drains.relay_http(source, rows, bench.folder))


def add_flatness(bench, name, found):
    """Memory against that of a small run, the last rows' speed against that of the first."""
    small = memory_of_few_rows(bench)
    for drain in found:
        bench.figures.add(f"flat rss/{name}", drain.peak_bytes / small)
        bench.figures.add(f"flat rate/{name}", drain.evenness)


def memory_of_few_rows(bench):
    if bench.small_peak is None:
        source = bench.source(workloads.few_rows)
        rows = source.workload.rows
        bench.small_peak = bench.drain(
            "few", "relay, discard", lambda: drains.relay_discard(source, rows, bench.folder, True)
        ).peak_bytes
        source.drop()
    return bench.small_peak
