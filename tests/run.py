"""Runs the tests of ./dev test, and counts them: the last line is `N passed, N failed`.

The end-to-end tests begin as soon as the relay is built: they mostly wait, and the programs of the
other tests are built and run beside them.

Test cases count, not programs. A program that crashes, runs nothing or says nothing that can be
counted has failed, and so has a test that was skipped: what can't run here must say what it needs.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

source_folder = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(source_folder / "tests" / "e2e"))

from support import canary  # noqa: E402

results_folder = source_folder / "build" / "test-results"
program_timeout = 900
full_seeds = 20000


@dataclasses.dataclass
class Outcome:
    name: str
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    output: str = ""


def programs(preset, labels=None, names=None):
    """The tests of build/PRESET that ctest knows: with one of the labels, or of these names."""
    listed = subprocess.run(
        ["ctest", "--test-dir", source_folder / "build" / preset, "--show-only=json-v1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    for test in json.loads(listed.stdout)["tests"]:
        properties = {entry["name"]: entry["value"] for entry in test["properties"]}
        if names is not None and test["name"] not in names:
            continue
        if labels is not None and not labels & set(properties.get("LABELS", [])):
            continue
        yield preset, test["name"], test["command"], properties


def captured(command, **more):
    """The command at its end, with all that it printed in `stdout`."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        **more,
    )


def run_program(preset, name, command, properties):
    outcome = Outcome(f"{preset}: {name}")
    start = time.monotonic()
    environment = {
        **os.environ,
        **dict(entry.split("=", 1) for entry in properties.get("ENVIRONMENT", [])),
    }
    try:
        done = captured(
            command,
            timeout=properties.get("TIMEOUT", program_timeout),
            env=environment,
            cwd=properties.get("WORKING_DIRECTORY"),
        )
        outcome.output = done.stdout
        outcome.passed, outcome.failed = count(done.stdout, done.returncode)
        if done.returncode:
            outcome.output += f"\n{name}: exit {done.returncode}\n"
        elif canary.is_in(done.stdout):  # which some of them give as a password
            outcome.failed = 1
            outcome.output += f"\n{name}: a secret is shown\n"
    except subprocess.TimeoutExpired as error:
        outcome.failed = 1
        outcome.output = (error.stdout or b"").decode(
            errors="replace"
        ) + f"\n{name}: not done in time\n"
    except OSError as error:
        outcome.failed = 1
        outcome.output = f"{error}\n"
    outcome.seconds = time.monotonic() - start
    return outcome


def count(output, code):
    """Passed and failed test cases, from the totals that Catch2 prints (2 and 3 alike).

    A program that isn't Catch2's, as a check written in Python, counts as one.
    """
    passed = failed = 0
    if total := re.search(r"^All tests passed \(.*? in (\d+) test cases?\)", output, re.M):
        passed = int(total[1])
    elif total := re.search(r"^test cases: +(\d+)(.*)$", output, re.M):
        passed = sum(int(number) for number in re.findall(r"(\d+) passed", total[2]))
        failed = int(total[1]) - passed
    elif code == 0 and not re.search(r"^No test(s ran| cases matched)", output, re.M):
        passed = 1
    if failed == 0 and (code != 0 or passed == 0):
        failed = 1  # it crashed, or a sanitizer spoke at its end
    return passed, failed


def run_pytest(name, arguments, full, environment=None):
    """One run of pytest; its lines are shown as they come."""
    report = results_folder / f"{name}.xml"
    report.unlink(missing_ok=True)
    marker = [] if full else ["-m", "not slow"]
    start = time.monotonic()
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-q",
            "--tb=short",
            "--durations=10",
            f"--junitxml={report}",
            *marker,
            *arguments,
        ],
        cwd=source_folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    outcome = Outcome(name, seconds=time.monotonic() - start)
    if report.exists():
        [suite] = xml.etree.ElementTree.parse(report).getroot().iter("testsuite")
        total, *bad = (int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped"))
        outcome.failed = min(sum(bad), total)
        outcome.passed = total - outcome.failed
    if process.returncode != 0 and outcome.failed == 0:
        outcome.failed = 1
    return outcome


def run_end_to_end(full):
    """All of tests/e2e, by three runs at once: most of their time is waiting.

    Each takes the next file that no other has taken (tests/e2e/conftest.py).
    """
    shares = {f"e2e-{number}": ["tests/e2e"] for number in (1, 2, 3)}
    with tempfile.TemporaryDirectory() as taken, concurrent.futures.ThreadPoolExecutor() as pool:
        environment = {"WALRELAY_TAKEN_FILES": taken}
        runs = [pool.submit(run_pytest, *share, full, environment) for share in shares.items()]
        return [run.result() for run in runs]


def build(preset, targets):
    """What is not built yet of build/PRESET; all of it without targets. Behind all else."""
    command = ["nice", "-n", "19", "ninja", "-C", f"build/{preset}", "--quiet", *targets]
    start = time.monotonic()
    done = captured(command, cwd=source_folder)
    outcome = Outcome(f"{preset}: build", seconds=time.monotonic() - start, output=done.stdout)
    outcome.failed = 1 if done.returncode else 0
    return outcome


def run_programs(options):
    """Builds and runs them, preset by preset; gives outcomes as they come."""
    for preset, names in options.programs:
        built = build(preset, [f"test_{name}" for name in names or ()])
        yield built
        if built.failed:
            continue
        labels = None if names else {"unit", "component"}
        queue = list(programs(preset, labels, names))
        if not queue or len(queue) < len(names or ()):
            yield Outcome(f"{preset}: not all that was named is there", failed=1)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(lambda program: run_program(*program), queue)
    if options.full:
        yield run_simulation()


def preset_and_names(text):
    """PRESET, or PRESET:NAME,NAME…"""
    preset, _, names = text.partition(":")
    return preset, names.split(",") if names else None


def run_simulation():
    command = ["build/release/tests/simulation/simulate", "--seeds", str(full_seeds)]
    return run_program(
        "release", f"{full_seeds} simulations", command, {"WORKING_DIRECTORY": str(source_folder)}
    )


def show(outcome):
    print(
        f"{outcome.name:<40} {outcome.passed:>5} passed {outcome.failed:>3} failed"
        f" {outcome.seconds:>7.1f} s",
        flush=True,
    )
    if outcome.failed and outcome.output:
        print(outcome.output, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--compose", action="store_true")
    parser.add_argument("--programs", action="append", type=preset_and_names, default=[])
    parser.add_argument("pytest", nargs="*")
    options = parser.parse_args()
    results_folder.mkdir(parents=True, exist_ok=True)

    outcomes = []

    def note(outcome):
        outcomes.append(outcome)
        show(outcome)

    if options.pytest:
        note(run_pytest("e2e", options.pytest, options.full))
    else:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            end_to_end = pool.submit(run_end_to_end, options.full)
            for outcome in run_programs(options):
                note(outcome)
            note(run_pytest("structure", ["tests/structure"], options.full))
            for outcome in end_to_end.result():
                note(outcome)
        if options.compose:
            note(run_pytest("compose", ["tests/compose"], options.full))

    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    for outcome in outcomes:
        if outcome.failed:
            print(f"failed: {outcome.name}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
