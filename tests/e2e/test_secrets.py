"""A secret that the relay was given is in nothing that it prints, serves or shows."""

import base64
import json
import os
import pathlib
import signal
import sys

import pytest

from support import canary
from support.events import emit, outbox_to
from support.parked import park, wait_set_aside
from support.processes import free_port, spawn
from support.receiver import Reply
from support.relay import Relay, binary, config, run_command
from support.wait import until

secret = canary.text


@pytest.fixture
def secrets(tmp_path):
    """The environment of the relay, and the file that one of them is in."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(secret, encoding="ascii")
    return {"CANARY": secret, "SIGNING": canary.signing}, file


def settings_with(db, receiver, file, brokers):
    sasl = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "somebody",
        "sasl.password": f"${{file:{file}}}",
        "ssl.key.password": "${env:CANARY}",
    }
    hooks = {
        "url": receiver.url + "/in/${env:CANARY}/{topic}?token=${env:CANARY}",
        "headers": {"authorization": "Bearer ${env:CANARY}", "x-key": "${env:CANARY}"},
        "signing": "${env:SIGNING}",
    }
    sinks = {
        "hooks": {"http": hooks},
        "events": {"kafka": {"brokers": brokers, "properties": sasl}},
    }
    routes = [
        {**outbox_to("events"), "where": {"topic": "orders"}, "topics": "orders"},
        {**outbox_to("hooks"), "where": {"topic": ["t", "gone"]}},
        {
            "from": "public.mails",
            "to": "hooks",
            "shape": {
                "payload": "topic",
                "headers": {
                    "x-route": "to {topic} ${env:CANARY}",
                    "content-type": "text/plain; of=${env:CANARY}",
                },
            },
        },
    ]
    # The other form, with password=, is in every configuration of the tests.
    server = f"127.0.0.1:{db.cluster.port}/{db.name}"
    conninfo = f"postgresql://{db.relay_user}:${{env:CANARY}}@{server}"
    return config(
        db,
        sinks,
        routes,
        source={"conninfo": conninfo},
        admin={"listen": f"127.0.0.1:{free_port()}", "token": "${env:CANARY}"},
    )


def said_by_commands(process, environment):
    commands = ["check", "-o", "json"], ["status"], ["status", "-o", "json"], ["sql"]
    for command in commands:
        done = run_command(command[0], "-c", process.file, *command[1:], environment=environment)
        yield " ".join(command), done.stdout + done.stderr


def test_no_secret_is_in_log_answers_commands_or_the_list_of_processes(
    db, receiver, relay, secrets
):
    environment, file = secrets
    db.sql("CREATE TABLE mails (topic text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE mails")
    settings = settings_with(db, receiver, file, f"127.0.0.1:{free_port()}")
    refusals = iter([Reply(401), Reply(401)])
    receiver.answer(
        lambda request: Reply(404)
        if "/gone" in request.path
        else next(refusals, Reply(200, {"location": request.path}))
    )
    process = relay(settings, environment=environment)
    process.wait_log("streaming from slot")
    emit(db, 1)
    db.sql("INSERT INTO mails VALUES ('mail')")
    db.sql("SELECT walrelay.emit('orders', '{}')")
    accepted, mail = until(
        lambda: [one for one in receiver.requests if one.path.count("/t?") + one.path.count("mail")]
        if len(receiver.requests) >= 4
        else None,
        20,
        "the endpoint takes what it refused before",
    )[-2:]
    if "mail" in accepted.path:
        accepted, mail = mail, accepted
    # It is in use.
    assert accepted.path == f"/in/{secret}/t?token={secret}"
    assert accepted.headers["authorization"] == f"Bearer {secret}"
    assert mail.headers["x-route"] == f"to mail {secret}"
    assert mail.headers["content-type"] == f"text/plain; of={secret}"
    process.wait_log("sink events: ")
    db.sql("SELECT walrelay.emit('gone', '{}')")
    process.wait_log("HTTP 404")

    shown = {"log": process.log(), "stdout": (process.folder / "stdout").read_text()}
    for path in ("/healthz", "/readyz", "/status", "/metrics"):
        shown[path] = process.get(path, token=secret)[1]
        shown[f"{path} refused"] = process.get(path)[1]
    [stall] = [
        stall
        for sink in json.loads(shown["/status"])["sinks"]
        for stall in sink["stalls"]
        if stall["scope"] == "target"
    ]
    assert stall["name"] == "/in/***/gone?token=***", "a target is named without its secrets"
    assert "target /in/***/gone?token=***" in shown["/readyz"] + shown["log"]
    shown.update(said_by_commands(process, environment))
    shown["arguments"] = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    shown["record"] = str(db.sql("SELECT * FROM walrelay.progress"))
    shown["sessions"] = str(db.sql("SELECT application_name, query FROM pg_stat_activity"))

    # A value that is refused is named, not quoted.
    process.configure({**settings, "source": {**settings["source"], "slot": "${env:CANARY}!"}})
    shown["wrong value"] = run_command("run", "-c", process.file, environment=environment).stderr
    assert shown["wrong value"]
    assert '"sinks"' in shown["/status"] and "walrelay_ready" in shown["/metrics"]
    canary.look_for(shown)


def test_what_is_set_aside_and_what_operators_do_with_it_shows_no_secret(
    db, receiver, relay, secrets
):
    environment, file = secrets
    settings = settings_with(db, receiver, file, f"127.0.0.1:{free_port()}")
    settings["routes"] = [outbox_to("hooks")]
    receiver.answer(Reply(422, body=secret.encode()))
    process = relay(settings, environment=environment)
    until(lambda: process.get("/readyz", token=secret)[0] == 200, 15, "it is ready")

    def operate(*words):
        """What the command said; run_command() has searched it."""
        done = run_command(*words, "-c", process.file, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    emit(db, 1)
    receiver.wait_for(1)
    renamed = json.loads(json.dumps(settings).replace("?token=", "?again="))
    for changed in ({**settings, "source": {**settings["source"], "slot": "${env:CANARY}"}},
                    {**settings, "sinks": {**settings["sinks"], "hooks": {"discard": {}}}},
                    {**settings, "sinks": {**settings["sinks"], "hooks": {"http": {
                        "url": "http://127.0.0.1:1/${env:CANARY}"}}}},
                    {**settings, "routes": [{"from": "public.${env:CANARY}", "to": "none"}]}):
        before = process.log().count("not reloaded")
        process.write(changed)
        process.hang_up()
        until(lambda before=before: process.log().count("not reloaded") > before, 10, process.log)
    row = wait_set_aside(db, receiver.requests[0].headers["webhook-id"], 20)
    assert receiver.requests[0].path == f"/in/{secret}/t?token={secret}"
    assert row["destination"] == "/in/***/t?token=***" and "422" in row["error"]
    process.write(renamed)
    process.hang_up()
    process.wait_log("reloaded: the new map")
    [one] = json.loads(operate("parked", "list", "-o", "json"))["rows"]
    for words in (["list"], ["show", one["id"]], ["show", one["id"], "-o", "json"]):
        assert "/in/***/t?" in operate("parked", *words) or words == ["list"]
    assert "hooks" in operate("pause", "hooks")
    until(lambda: "paused by" in process.get("/readyz", token=secret)[1], what="it is paused")
    operate("status")
    operate("status", "-o", "json")
    assert "hooks" in operate("resume", "hooks")
    receiver.answer(Reply())
    assert '"redrive"' in operate("parked", "redrive", one["id"], "-o", "json")
    until(lambda: receiver.requests[-1].path == f"/in/{secret}/t?again={secret}", what="it is sent")
    shown = {path: process.get(path, token=secret)[1] for path in ("/readyz", "/status", "/metrics")}
    assert all(shown.values())
    canary.look_for({**shown, "log": process.log()})
    db.look_for_secrets()
    assert db.value("SELECT count(*) FROM walrelay.redrive") == 3


@pytest.mark.parametrize("form", ["text", "json"])
def test_tail_shows_no_secret_of_urls_and_headers(form, db, receiver, tmp_path, secrets):
    environment, file = secrets
    db.sql("CREATE TABLE mails (topic text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE mails")
    settings = settings_with(db, receiver, file, "127.0.0.1:1")
    sheet = tmp_path / "walrelay.yaml"
    sheet.write_text(json.dumps(settings), encoding="utf-8")
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        command = [binary(), "tail", "-c", str(sheet), "--count", "2", "-o", form]
        process = spawn(command, stdout=out, stderr=err, env={**os.environ, **environment})
    until(lambda: b"following from LSN" in (tmp_path / "err").read_bytes(), 20, "tail follows")
    emit(db, 1)
    db.sql("INSERT INTO mails VALUES ('mail')")
    until(lambda: process.poll() is not None, 20, "tail ends after two events")
    shown = (tmp_path / "out").read_text(encoding="utf-8")
    canary.look_for({"tail": shown, "its messages": (tmp_path / "err").read_bytes()})
    assert f"{receiver.url}/in/***/t?token=***" in shown and f"{receiver.url}/in/***/mail" in shown
    assert receiver.requests == []


@pytest.mark.parametrize("wrong", [
    "postgresql://somebody:{secret}@127.0.0.1:{port}/nowhere?no_such_option=1",
    "postgresql://somebody:{secret}@127.0.0.1:{port}/nowhere",
    "postgresql://somebody:{secret}@[127.0.0.1/nowhere",
    "host=127.0.0.1 port={port} user=somebody password='{secret}",
    "host=127.0.0.1 port={port} user=somebody password={secret} {secret}",
])
def test_a_wrong_connection_string_is_told_without_its_password(wrong, db, relay):
    settings = config(db, {"nothing": {"discard": {}}}, [outbox_to("nothing")])
    settings["source"]["conninfo"] = wrong.replace("{secret}", canary.reference).replace(
        "{port}", str(db.cluster.port)
    )
    process = relay(settings)
    until(lambda: process.get("/readyz")[0] == 503 or not process.running(), 15, "it says so")
    process.wait_log("conninfo|127.0.0.1")
    for command in ("check", "status"):
        assert run_command(command, "-c", process.file).stdout


# The search itself


@pytest.mark.parametrize("where", ["stderr", "stdout", "arguments", "/readyz", "/status", "/metrics"])
def test_a_secret_that_a_relay_shows_fails_the_test(where, db, receiver, tmp_path):
    process = Relay(
        config(db, {"nothing": {"discard": {}}}, [outbox_to("nothing")]), tmp_path / "relay"
    )
    process.look_for_secrets()
    pause = [sys.executable, "-c", "import signal; signal.pause()"]
    stand_in = spawn([*pause, secret if where == "arguments" else "nothing"])
    process._process = stand_in  # pylint: disable=protected-access
    process.admin = receiver.url
    shown = base64.b64encode(b"somebody:" + secret.encode())
    receiver.answer(lambda request: Reply(200, body=b"a " + shown * (request.path == where)))
    if where in ("stderr", "stdout"):
        (process.folder / where).write_text(f"password={secret}\n", encoding="ascii")
    with pytest.raises(AssertionError, match=f"a secret is shown: {where}"):
        process.close()
    assert stand_in.poll() == -signal.SIGKILL, "it is stopped all the same"


def test_a_secret_in_the_record_of_progress_fails_the_test(db):
    db.look_for_secrets()
    db.sql(
        "INSERT INTO walrelay.progress"
        " (slot, safe_lsn, epoch, system_identifier, timeline, relay_version)"
        " VALUES ('s', '0/1', 1, 1, 1, %s)",
        [f"password={secret}"],
    )
    with pytest.raises(AssertionError, match="a secret is shown: walrelay.progress"):
        db.look_for_secrets()
    db.sql("DELETE FROM walrelay.progress")


@pytest.mark.parametrize("bad", [{"destination": f"/in/{secret}"}, {"message": secret.encode()}])
def test_a_secret_in_what_is_set_aside_fails_the_test(bad, db):
    park(db, **bad)
    with pytest.raises(AssertionError, match="a secret is shown: walrelay.parked"):
        db.look_for_secrets()
    db.sql("DELETE FROM walrelay.parked")


def test_a_secret_in_a_mark_fails_the_test(db):
    db.sql("SELECT walrelay.pause('s', %s)", [secret])
    with pytest.raises(AssertionError, match="a secret is shown: walrelay.redrive"):
        db.look_for_secrets()
    db.sql("DELETE FROM walrelay.redrive")


def test_a_secret_that_a_command_prints_fails_the_test():
    with pytest.raises(AssertionError, match="a secret is shown: stderr of"):
        run_command("run", "-c", f"/nowhere/{secret}")


def test_every_configuration_carries_the_secret(db):
    sinks = {"a": {"http": {"url": "http://127.0.0.1"}}, "b": {"kafka": {"brokers": "127.0.0.1"}}}
    planted = config(db, sinks, [outbox_to("a")])
    assert planted["source"]["conninfo"].endswith(f" password={canary.reference}")
    assert planted["sinks"]["a"]["http"]["headers"] == {"x-canary": canary.reference}
    assert planted["sinks"]["a"]["http"]["signing"] == canary.signing_reference
    assert "signing" not in config(
        db, {"a": {"http": {"url": "http://127.0.0.1", "signing": None}}}, [outbox_to("a")]
    )["sinks"]["a"]["http"]
    assert planted["sinks"]["b"]["kafka"]["properties"]["sasl.password"] == canary.reference
    assert "headers" not in sinks["a"]["http"], "the test's own is left alone"
