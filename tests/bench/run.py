"""Speed and memory of the relay, as ratios to baselines of the same run: `./dev bench`.

Contenders take turns in rotated order, round after round; the table shows medians over the rounds.
"""

import argparse
import functools
import pathlib
import signal
import sys
import tempfile

source_folder = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(source_folder / "tests" / "e2e"))

import against  # noqa: E402
import application  # noqa: E402
import backlog  # noqa: E402
import keys  # noqa: E402
import latency  # noqa: E402
from bench import Bench  # noqa: E402
from figures import machine  # noqa: E402

groups = {
    "L": functools.partial(backlog.compare, name="L"),
    "S": functools.partial(backlog.compare, name="S"),
    "X": backlog.large_transaction,
    "http": keys.http,
    "keys": keys.kafka,
    "latency": latency.measure,
    "tps": application.measure,
    "B": functools.partial(backlog.enormous, name="B"),
    "G": functools.partial(backlog.enormous, name="G"),
}
of_gigabytes = ("B", "G")


def parsed_options():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument(
        "--quick", action="store_true", help="a fifth of the rows, one round: about 4 minutes"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="B and G too: 10 M rows each, 30 GB of disk, about 8 minutes more",
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        help=f"some of {', '.join(groups)}",
    )
    parser.add_argument("--rounds", type=int, help="how often each contender runs")
    parser.add_argument(
        "--against",
        type=lambda text: str(pathlib.Path(text).resolve(strict=True)),
        metavar="BINARY",
        help="drains by this build and by another one of walrelay in turns, and nothing else",
    )
    options = parser.parse_args()
    if options.only is None:
        options.only = [name for name in groups if options.full or name not in of_gigabytes]
    if not set(options.only) <= groups.keys():
        parser.error(f"--only takes {', '.join(groups)}")
    return options


def main():
    options = parsed_options()
    rounds = options.rounds or (7 if options.against else 1 if options.quick else 3)
    # A SIGTERM ends it as Ctrl-C does, so that everything that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="wr-bench-") as folder:
        bench = Bench(pathlib.Path(folder), rounds, options.quick)
        try:
            if options.against:
                return against.compare(bench, options.against)
            for name, measure in groups.items():
                if name in options.only:
                    measure(bench)
        finally:
            bench.close()
    file = source_folder / "build" / "bench.json"
    bench.figures.write(file, rounds=rounds, quick=options.quick, groups=options.only)
    shrunk = ", a fifth of the rows" if options.quick else ""
    print(f"{machine()}{shrunk}\n\n{bench.figures.table()}\n")
    print(f"every run: {file.relative_to(source_folder)}")


if __name__ == "__main__":
    main()
