"""README.md, taken at its word: its commands are run, and what it names must be there."""

import base64
import os
import pathlib
import re
import subprocess

import pytest

from support.cluster import source_folder
from support.events import to_discard
from support.processes import free_port, kill, spawn
from support.relay import binary, run_command
from support.wait import until

readme = (source_folder / "README.md").read_text(encoding="utf-8")


def section(title):
    """The text between a heading and the next of its level."""
    [text] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", readme, re.M | re.S)
    return text


def blocks(text):
    """The fenced blocks: (language, content), without the indentation of their list."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.M | re.S)
    return [(language, re.sub(rf"(?m)^{indent}", "", body)) for indent, language, body in found]


def table(text, first_header):
    """The cells of the first column of the table with that header, without their backticks."""
    [rows] = re.findall(rf"^\| {first_header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    cells = [re.split(r"(?<!\\)\|", row)[1].strip() for row in rows.splitlines()]
    return [cell.strip("`").replace("\\|", "|") for cell in cells]


@pytest.fixture
def own_cluster(new_cluster):
    """A server as it comes: wal_level isn't logical yet, and there is a database with a table."""
    server = new_cluster(wal_level="replica")
    server.sql("CREATE DATABASE shop")
    server.sql("CREATE TABLE orders (id int)", dbname="shop")
    return server


@pytest.fixture
def shell(own_cluster, receiver, tmp_path):
    """Runs the README's lines in a shell with `walrelay` in PATH: shell(line, wait=False)."""
    folder = tmp_path / "readme"
    folder.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "walrelay").symlink_to(pathlib.Path(binary()).resolve())
    started = []

    def here(text):
        """With this server's socket and this receiver's port in place of the README's."""
        place = f"{own_cluster.socket_folder} port={own_cluster.port}"
        return text.replace("/var/run/postgresql", place).replace(":8080/", f":{receiver.port}/")

    def run(line, wait=True):
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        if wait:
            return subprocess.run(
                here(line),
                shell=True,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=60,
            )
        with open(folder / "log", "wb") as log:
            options = {"cwd": folder, "env": environment, "stdout": log, "stderr": log}
            started.append(spawn(here("exec " + line), shell=True, **options))
        return started[-1]

    run.folder = folder
    run.here = here
    yield run
    for process in started:
        kill(process)


@pytest.mark.every_major
def test_the_commands_of_the_ten_minutes_run_as_written_and_an_event_arrives(
    own_cluster, shell, receiver
):
    (_, prepare), (_, sink_map), (_, install), (_, commands), (_, emit) = blocks(
        section("Your own table in ten minutes")
    )
    own_cluster.psql(script=prepare)
    own_cluster.restart()
    # One line more than the README's: its default port may be in use on this machine.
    admin = f"\nadmin: {{ listen: '127.0.0.1:{free_port()}' }}\n"
    (shell.folder / "relay.yaml").write_text(shell.here(sink_map) + admin, encoding="utf-8")

    for line in install.strip().splitlines():
        done = shell(line)
        assert done.returncode == 0, done.stdout
    check, run = commands.strip().splitlines()
    done = shell(check)
    assert done.returncode == 0, done.stdout
    relay = shell(run, wait=False)

    own_cluster.sql("CREATE ROLE application LOGIN IN ROLE walrelay_app")
    own_cluster.sql("GRANT ALL ON orders TO application", dbname="shop")
    assert "INSERT INTO orders …;" in emit
    emit = emit.replace("INSERT INTO orders …;", "INSERT INTO orders VALUES (17);")
    own_cluster.psql(dbname="shop", user="application", script=emit)
    [request] = receiver.wait_for(1)
    assert (request.method, request.path) == ("POST", "/events")
    assert request.body == b'{"order": 17}' and request.headers["x-walrelay-key"] == "17"

    ready = "walrelay status -c relay.yaml --ready"
    until(lambda: shell(ready).returncode == 0, what="the relay is ready", every=0.1)
    relay.terminate()
    assert relay.wait(20) == 0
    assert shell(ready).returncode == 1
    assert shell(install.strip()).returncode == 0, "it can be run again"


def listed_commands(*words):
    listed = run_command(*words, "--help").stdout.partition("Subcommands:")[2]
    return set(re.findall(r"^  (\w+) {2,}", listed, re.M))


def assert_takes(command, options):
    done = run_command(*command, "--help")
    assert done.returncode == 0 and options, command
    for option in options:
        assert re.search(rf"(?<![\w-]){option}\b", done.stdout), (command, option)


def test_every_command_of_the_readme_and_each_of_its_options_exists():
    lines = table(section("What you call"), "command")
    commands = {line: re.match(r"walrelay((?: [a-z]+)+)", line)[1].split() for line in lines}
    parked = ["list", "show", "redrive", "drop"]
    assert [" ".join(words) for words in commands.values()] == [
        "run", "check", "sql", "status", "tail", *(f"parked {name}" for name in parked),
        "pause", "resume"]
    assert listed_commands() == {words[0] for words in commands.values()}
    assert listed_commands("parked") == set(parked)
    for line, words in commands.items():
        assert_takes(words, re.findall(r"(?<![\w-])--?[a-z]+", line))
    [selectors] = re.findall(r"also select by (.*?);", section("What you call"), re.S)
    for name in ("list", "redrive", "drop"):
        assert_takes(["parked", name], re.findall(r"`(--[a-z]+)`", selectors))
    version = run_command("--version")
    assert version.returncode == 0 and re.fullmatch(r"walrelay \d+\.\d+\.\d+\n", version.stdout)


@pytest.mark.every_major
def test_every_function_of_the_readme_exists_with_its_arguments_and_its_answer(db):
    functions = table(section("What you call"), "SQL")
    assert len(functions) == 13
    for line in functions:
        name, arguments, answer = re.fullmatch(
            r"walrelay\.(\w+)\((.*?)\)(?: → (.+))?", line
        ).groups()
        [[names, types, result]] = db.sql(
            "SELECT proargnames, proargtypes::regtype[]::text[], prorettype::regtype::text"
            " FROM pg_proc WHERE pronamespace = 'walrelay'::regnamespace AND proname = %s",
            [name],
        )
        assert answer in (None, result), line
        wanted = [part.split() for part in arguments.split(", ") if part not in ("", "…")]
        for place, (argument, *kind) in enumerate(wanted):
            assert names[place] == argument, line
            assert kind in ([], [types[place]]), line


def test_every_metric_of_the_readme_is_served_and_every_one_served_is_in_it(db, relay):
    named = set(re.findall(r"`(walrelay_\w+)(?:\{[a-z,]+\})?`", section("Operating it")))
    assert len(named) > 10
    process = relay(to_discard(db)).wait_ready()
    db.sql("SELECT walrelay.emit('t', '{}')")
    until(lambda: process.delivered("nothing") == 1, what="an event is delivered")
    samples = process.metrics()
    assert {sample.partition("{")[0] for sample in samples} == named
    with_labels = re.findall(r"`(walrelay_\w+)\{([a-z,]+)\}`", section("Operating it"))
    assert with_labels
    for name, labels in with_labels:
        [sample, *_] = [one for one in samples if one.startswith(name + "{")]
        assert sorted(re.findall(r'(\w+)="', sample)) == sorted(labels.split(",")), name


def test_every_key_of_the_reference_configuration_is_accepted(tmp_path, monkeypatch):
    """All of them are there with their defaults; only the paths of secrets are other ones."""
    monkeypatch.setenv("WALRELAY_DB_PASSWORD", "p")
    monkeypatch.setenv("WALRELAY_ADMIN_TOKEN", "t")
    secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    for name, content in (("token", "x"), ("webhook_new", secret)):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(content, encoding="ascii")
    text = (source_folder / "config" / "reference.yaml").read_text(encoding="utf-8")
    file = tmp_path / "reference.yaml"
    file.write_text(text.replace("/run/secrets", str(tmp_path)), encoding="utf-8")
    done = run_command("sql", "-c", file)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "CREATE" in done.stdout
    broken = file.with_name("broken.yaml")
    broken.write_text(file.read_text(encoding="utf-8") + "loop: 1\n", encoding="utf-8")
    done = run_command("sql", "-c", broken)
    assert done.returncode == 2 and "loop" in done.stderr


def documented_exit_codes():
    [text] = re.findall(r"Exit codes: (.*?)\n\n", section("What you call"), re.S)
    return {int(part.split()[0]): part for part in re.split(r" · ", " ".join(text.split()))}


def test_the_exit_codes_of_the_readme_are_those_of_the_program(db, relay, tmp_path):
    header = source_folder / "include" / "walrelay" / "cli" / "commands.hpp"
    codes = re.findall(r"^    \w+ = (\d+),", header.read_text(encoding="utf-8"), re.M)
    documented = documented_exit_codes()
    assert set(documented) == set(map(int, codes))

    assert run_command("no-such-command").returncode == 2
    assert run_command("run").returncode == 2
    assert run_command("run", "-c", tmp_path / "missing.yaml").returncode == 2
    process = relay(to_discard(db)).wait_ready()
    assert run_command("status", "-c", process.file, "--ready").returncode == 0
    db.sql("SELECT walrelay.emit('t', '{}')")
    until(lambda: process.delivered("nothing") == 1, what="an event is delivered")
    assert process.stop() == 0
    assert run_command("status", "-c", process.file, "--ready").returncode == 1
    until(lambda: db.slot_state()[0] is None, what="the server has let the slot go")
    db.sql("SELECT pg_drop_replication_slot(%s)", [db.slot])
    db.create_slot()
    process.start()
    assert process.wait_exit() == 3


def test_every_test_that_the_document_on_reliability_names_is_there():
    """`file::name` is a test or the beginning of its name; of C++, of its title."""
    text = (source_folder / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+\.(?:py|cpp))::([^`]+)`", text)
    assert len(named) > 100
    for file, name in named:
        [path] = (source_folder / "tests").rglob(file)
        content = re.sub(r'"\s*\n\s*"', "", path.read_text(encoding="utf-8"))
        begins = r"\bdef " if path.suffix == ".py" else r'TEST_CASE\(\s*"'
        assert re.search(f"{begins}{re.escape(name)}(?![a-z0-9])", content), (file, name)


def test_the_document_on_reliability_has_every_case_every_planted_bug_and_the_count_of_rare_states():
    text = (source_folder / "docs" / "reliability.md").read_text(encoding="utf-8")
    cases = re.findall(r"^\| ([BCD]\d+) \|", text, re.M)
    kafka = [f"B{n}" for n in range(1, 16) if n != 14]  # B14 is of transactions, which there are not
    assert cases == [*kafka, *(f"C{n}" for n in range(1, 15)), "D3", "D4", "D5", "D6", "D8"]

    header = (source_folder / "include/walrelay/core/planted.hpp").read_text(encoding="utf-8")
    names = re.search(r"enum class bug .*?\{(.*?)count_", header, re.S).group(1)
    planted = set(re.findall(r"^ *(\w+),$", names, re.M)) - {"none"}
    told = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert len(told) == len(set(told)) and set(told) == planted

    simulation = source_folder / "tests" / "simulation"
    states = (simulation / "rare_states.hpp").read_text(encoding="utf-8")
    counted = re.search(r"enum class rare .*?\{(.*?)count_", states, re.S).group(1)
    number = len(re.findall(r"^ *\w+,", counted, re.M))
    assert f"{number} rare states are counted" in text


def test_the_files_and_links_that_the_readme_names_exist():
    named = set(re.findall(r"`((?:config|\./)[\w./-]*)`", readme)) - {"./dev"}
    assert len(named) > 4
    for path in named:
        assert (source_folder / path).exists(), path
    for verb in set(re.findall(r"\./dev ([a-z]+)", readme)):
        listed = subprocess.run(
            [source_folder / "dev", "help"], capture_output=True, text=True, check=True
        )
        assert re.search(rf"^  {verb}\b", listed.stdout, re.M), verb
