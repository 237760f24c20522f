"""A secret that the relay was given is in nothing that it prints, serves or shows."""

import base64
import pathlib

import pytest

from support.events import emit, outbox_to
from support.processes import free_port
from support.receiver import Reply
from support.relay import config, run_command

canary = "S3CR3T-CANARY"
signing_key = base64.b64encode(f"{canary:.<32}".encode()).decode()


@pytest.fixture
def secrets(tmp_path):
    """The environment of the relay, and the file that one of them is in."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(canary, encoding="ascii")
    return {"CANARY": canary, "SIGNING": f"whsec_{signing_key}"}, file


def settings_with(db, receiver, file, brokers):
    sasl = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "somebody",
        "sasl.password": f"${{file:{file}}}",
    }
    hooks = {
        "url": receiver.url + "/in",
        "headers": {"authorization": "Bearer ${env:CANARY}", "x-key": "${env:CANARY}"},
        "signing": "${env:SIGNING}",
    }
    sinks = {
        "hooks": {"http": hooks},
        "events": {"kafka": {"brokers": brokers, "properties": sasl}},
    }
    routes = [
        {**outbox_to("events"), "where": {"topic": "orders"}, "topics": "orders"},
        outbox_to("hooks"),
    ]
    conninfo = db.dsn(user=db.relay_user) + " password=${env:CANARY}"
    return config(
        db,
        sinks,
        routes,
        source={"conninfo": conninfo},
        admin={"listen": f"127.0.0.1:{free_port()}", "token": "${env:CANARY}"},
    )


def said_by_commands(process, environment):
    for command in (["check"], ["status"], ["status", "-o", "json"], ["sql"]):
        done = run_command(command[0], "-c", process.file, *command[1:], environment=environment)
        yield " ".join(command), done.stdout + done.stderr


def test_no_secret_is_in_log_answers_commands_or_the_list_of_processes(
    db, receiver, relay, secrets
):
    environment, file = secrets
    settings = settings_with(db, receiver, file, f"127.0.0.1:{free_port()}")
    refusals = iter([Reply(401), Reply(401)])
    receiver.answer(lambda request: next(refusals, Reply(200)))
    process = relay(settings, environment=environment)
    process.wait_log("streaming from slot")
    emit(db, 1)
    db.sql("SELECT walrelay.emit('orders', '{}')")
    [*_, accepted] = receiver.wait_for(3)
    assert accepted.headers["authorization"] == f"Bearer {canary}", "it is in use"
    process.wait_log("sink events: ")

    shown = {"log": process.log(), "stdout": (process.folder / "stdout").read_text()}
    for path in ("/healthz", "/readyz", "/status", "/metrics"):
        shown[path] = process.get(path, token=canary)[1]
        shown[f"{path} refused"] = process.get(path)[1]
    shown.update(said_by_commands(process, environment))
    shown["arguments"] = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    shown["record"] = str(db.sql("SELECT * FROM walrelay.progress"))
    shown["sessions"] = str(db.sql("SELECT application_name, query FROM pg_stat_activity"))

    # A value that is refused is named, not quoted.
    process.configure({**settings, "source": {**settings["source"], "slot": "${env:CANARY}!"}})
    shown["wrong value"] = run_command("run", "-c", process.file, environment=environment).stderr
    assert shown["wrong value"]
    assert '"sinks"' in shown["/status"] and "walrelay_ready" in shown["/metrics"]
    for where, text in shown.items():
        assert canary not in text and signing_key not in text, where
