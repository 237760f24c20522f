"""Bad configurations through the binary: each gives its exact text, and exit 2."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from support import hostile
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
        done = run_command("run", "-c", file, deadline=30, environment=variables) if problems else (
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


@pytest.mark.parametrize("name", hostile.files)
def test_d5_a_hostile_configuration_is_exit_2_with_its_place_in_little_time_and_memory(
    name, tmp_path
):
    content, expected = hostile.files[name]
    file = tmp_path / "relay.yaml"
    file.write_bytes(content)
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
        done = run_command("run", "-c", file, deadline=30)
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
