"""Bad configurations through the binary: each gives its exact text, and exit 2."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from support.cluster import source_folder
from support.relay import binary, run_command

folder = source_folder / "tests/fixtures/config"
canary = "S3CR3T-CANARY"
# Those of tests/unit/config/test_secrets.hpp, which the fixtures were written for.
variables = {
    "TOKEN": canary,
    "EMPTY": "",
    "NUMBER": "1234",
    "NESTED": "${env:TOKEN}",
    "WALRELAY_HTTP_TOKEN": canary,
    "WALRELAY_ADMIN_TOKEN": canary,
    "KAFKA_PASSWORD": canary,
    "WALRELAY_DB_PASSWORD": canary,
}
secret_files = {
    "token": canary,
    "open": canary,
    "empty": "",
    "webhook_new": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "webhook_old": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def with_our_secrets(text, secrets):
    """The fixtures read /run/secrets; a test has a folder of its own."""
    return text.replace("/run/secrets", str(secrets))


def without_columns_of(text):
    """Without the columns: the name of our folder, in front of a place, shifts it."""
    return re.sub(r"(:\d+):\d+:", r"\1:", text)


def test_d5_each_bad_configuration_gives_its_exact_text(tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, content in secret_files.items():
        (secrets / name).write_text(content, encoding="utf-8")
        (secrets / name).chmod(0o644 if name == "open" else 0o600)
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    assert len(names) > 30
    wrong = {}
    for name in names:
        source = (folder / f"{name}.yaml").read_bytes()
        expected = (folder / f"{name}.expected").read_text(encoding="utf-8")
        moved = b"/run/secrets" in source
        file = tmp_path / f"{name}.yaml"
        file.write_bytes(source.replace(b"/run/secrets", bytes(secrets)))
        problems = [line for line in expected.splitlines() if not line.startswith("warning: ")]
        done = run_command("run", "-c", file, deadline=10, environment=variables) if problems else (
            run_command("check", "-c", file, deadline=30, environment=variables)
        )
        got = done.stderr if problems else done.stdout
        want = with_our_secrets(expected, secrets).replace("FILE:", f"{file}:")
        if moved:
            got, want = without_columns_of(got), without_columns_of(want)
        assert canary not in done.stdout + done.stderr, name
        if problems:
            lines = [line for line in want.splitlines() if not line.startswith("warning: ")]
            if (done.returncode, got.splitlines()) != (2, lines):
                wrong[name] = (done.returncode, got)
        else:
            for line in want.splitlines():
                if line.removeprefix("warning: ") not in got:
                    wrong[name] = (line, got)
    assert wrong == {}


def test_a_file_that_is_not_there_is_exit_2_by_name(tmp_path):
    for command in ("run", "check", "status"):
        done = run_command(command, "-c", tmp_path / "missing.yaml")
        assert done.returncode == 2
        assert "missing.yaml" in done.stdout + done.stderr


def test_d5_a_folder_as_configuration_is_exit_2(tmp_path):
    done = run_command("run", "-c", tmp_path)
    assert done.returncode == 2 and str(tmp_path) in done.stderr


# A process of its own, and small: what a process used at most includes what its parent had.
measure = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
whole = """
source: { conninfo: "dbname=shop", slot: walrelay, publication: walrelay }
sinks: { hooks: { http: { url: "http://127.0.0.1/" } } }
routes: [ { from: walrelay.outbox, to: hooks } ]
"""
# The file, and what is said of it behind its name.
hostile_files = {
    "billion laughs": (
        b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(
            b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
        ),
        r":\d+:\d+: too many values",
    ),
    "10 MB": (b"# " + b"x" * 10_000_000, ": larger than 1 MiB"),
    "NUL": (whole.encode() + b"log: { level: \0 }\n", ":5:15: a NUL byte"),
    "UTF-16": (whole.encode("utf-16"), r":\d+:1: (a NUL byte|this line is not UTF-8)"),
    "unknown key": (whole + "limits: { in_flight_evnts: 1 }\n",
                    ":5:11: limits.in_flight_evnts: unknown key, did you mean in_flight_events"),
    "duplicate key": (whole + "log: {}\nlog: {}\n", ":6:1: log: duplicate key.*line 5, column 1"),
    "wrong type": (whole + "limits: [ 1 ]\n", ":5:1: limits: expected a map, got a list"),
    "tab": (whole + "log:\n\tlevel: info\n", ":6:1: a tab in the indentation"),
    "missing variable": (whole + 'admin: { token: "${env:WALRELAY_NONE}" }\n',
                         ":5:17: admin.token: the environment variable WALRELAY_NONE is not set"),
    "missing secret file": (whole + 'admin: { token: "${file:/nowhere/token}" }\n',
                            ":5:17: admin.token: the secret file /nowhere/token can't be read"),
    "secret from a device": (whole + 'admin: { token: "${file:/dev/zero}" }\n',
                             ":5:17: admin.token: the secret file /dev/zero can't be read"),
    "empty secret": (whole + 'admin: { token: "${env:EMPTY}" }\n',
                     ":5:17: admin.token: the environment variable EMPTY is empty"),
    "deep lists": (b"a: " + b"[" * 300_000, r":\d+:\d+: "),
    "deep maps": (b"{a: " * 150_000, r":\d+:\d+: "),
    "deep blocks": (b"- " * 300_000 + b"x", r":\d+:\d+: "),
}


@pytest.mark.parametrize("name", hostile_files)
def test_d5_a_hostile_configuration_is_exit_2_with_its_place_in_little_time_and_memory(
    name, tmp_path
):
    content, expected = hostile_files[name]
    file = tmp_path / "relay.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = subprocess.run(
        [sys.executable, "-S", "-c", measure, binary(), "run", "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        env={**os.environ, "EMPTY": ""},
    )
    assert done.returncode == 2, done.stderr[:2000]
    assert re.search(f"^{re.escape(str(file))}{expected}", done.stderr, re.M), done.stderr[:2000]
    assert len(done.stderr) < 5000
    assert int(done.stdout) < 100 * 1024, "KiB at most"


def test_d5_a_pipe_or_device_as_configuration_is_exit_2_and_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for file in (pipe, "/dev/zero", "/dev/null", "/dev/stdin"):
        done = run_command("run", "-c", file, deadline=5)
        assert done.returncode == 2
        assert done.stderr == f"{file}: can't be read: not a file: a pipe, socket or device\n"


def test_wrong_command_lines_are_exit_2():
    wrong = [], ["fly"], ["run"], ["run", "-c"], ["run", "--wrong"], ["status", "-o", "xml"]
    for arguments in wrong:
        done = run_command(*arguments)
        assert done.returncode == 2, arguments
        assert done.stderr + done.stdout, arguments
    assert run_command("--version").stdout.startswith("walrelay ")
    assert run_command("--help").returncode == 0


def test_the_fixtures_are_all_looked_at():
    assert {path.suffix for path in pathlib.Path(folder).iterdir()} == {".yaml", ".expected"}
