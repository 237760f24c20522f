"""`walrelay sql` and `walrelay check`, with the real binary on real servers."""

import contextlib
import json
import threading

import pytest

from support.relay import run_command


@pytest.fixture
def sink_map(empty_db, tmp_path):
    """Writes a sink map for an empty database and makes the relay's role."""

    def make(role="LOGIN", routes=None, publication=None):
        if role:
            empty_db.sql(f"CREATE ROLE {empty_db.relay_user} {role}")
        file = tmp_path / "relay.yaml"
        file.write_text(json.dumps({
            "source": {"conninfo": empty_db.dsn(user=empty_db.relay_user), "slot": empty_db.slot,
                       "publication": publication or empty_db.publication},
            "sinks": {"console": {"stdout": {}}},
            "routes": routes or [{"from": "walrelay.outbox", "to": "console"}],
        }), encoding="utf-8")
        return file

    return make


def apply(database, file, *more):
    return run_command("sql", "-c", file, "--apply", "--conninfo", database.dsn(), *more)


def published(database):
    return database.sql("SELECT pubname, schemaname, tablename FROM pg_publication_tables"
                        " ORDER BY 2, 3")


def slots(database):
    return database.sql("SELECT slot_name, plugin FROM pg_replication_slots WHERE database = %s",
                        [database.name])


def subjects(answer, level):
    return [one["subject"] for one in json.loads(answer.stdout) if one["severity"] == level]


# sql


@pytest.mark.every_major
def test_the_printed_script_prepares_a_database_through_psql(empty_db, sink_map):
    file = sink_map()
    printed = run_command("sql", "-c", file)
    assert printed.returncode == 0, printed.stderr
    assert slots(empty_db) == []
    for _ in range(2):
        empty_db.psql(script=printed.stdout)
    assert published(empty_db) == [(empty_db.publication, "walrelay", "outbox"),
                                   (empty_db.publication, "walrelay", "redrive")]
    assert slots(empty_db) == [(empty_db.slot, "pgoutput")]
    checked = run_command("check", "-c", file)
    assert checked.returncode == 0, checked.stdout


def test_without_a_sink_map_only_schema_and_roles_are_printed(empty_db):
    printed = run_command("sql")
    assert printed.returncode == 0
    empty_db.psql(script=printed.stdout)
    empty_db.sql("SELECT walrelay.emit('t', '{}')")
    assert published(empty_db) == [] and slots(empty_db) == []
    steps = json.loads(run_command("sql", "-o", "json").stdout)
    assert [step["step"] for step in steps] == ["schema and roles"]
    refused = run_command("sql", "--apply")
    assert refused.returncode == 2 and "--conninfo" in refused.stderr


@pytest.mark.every_major
def test_applying_twice_changes_nothing_and_leaves_nothing_to_do(empty_db, sink_map):
    file = sink_map()
    for _ in range(2):
        done = apply(empty_db, file)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "stops" not in done.stdout
    assert slots(empty_db) == [(empty_db.slot, "pgoutput")]
    checked = run_command("check", "-c", file, "-o", "json")
    assert checked.returncode == 0 and subjects(checked, "stops") == []


@pytest.mark.every_major
def test_an_existing_publication_gets_the_missing_tables_and_loses_none(empty_db, sink_map):
    empty_db.sql("CREATE SCHEMA shop")
    for table in ("kept", '"Mail.out"'):
        empty_db.sql(f"CREATE TABLE shop.{table} (mail_id int, body jsonb)")
    empty_db.sql("CREATE PUBLICATION \"P's\" FOR TABLE shop.kept WITH (publish = 'insert',"
                 " publish_via_partition_root = true)")
    shape = {"id": "{mail_id}", "payload": "body"}
    file = sink_map(publication="P's", routes=[
        {"from": "walrelay.outbox", "to": "console"},
        {"from": 'shop."Mail.out"', "shape": shape, "to": "console"}])
    done = apply(empty_db, file)
    assert done.returncode == 0, done.stdout
    assert published(empty_db) == [("P's", "shop", "Mail.out"), ("P's", "shop", "kept"),
                                   ("P's", "walrelay", "outbox"),
                                   ("P's", "walrelay", "redrive")]
    checked = run_command("check", "-c", file, "-o", "json")
    assert checked.returncode == 2 and subjects(checked, "stops") == ["table shop.kept"]


def test_no_slot_is_made_where_a_record_says_that_there_was_one(empty_db, sink_map):
    file = sink_map()
    assert apply(empty_db, file).returncode == 0
    empty_db.sql("INSERT INTO walrelay.progress"
                 " (slot, safe_lsn, epoch, system_identifier, timeline)"
                 " SELECT %s, '0/ABC', 1, system_identifier, 1 FROM pg_control_system()",
                 [empty_db.slot])
    empty_db.sql("SELECT pg_drop_replication_slot(%s)", [empty_db.slot])
    refused = apply(empty_db, file)
    assert refused.returncode == 3
    assert "walrelay.progress has a record of it" in refused.stdout and "0/ABC" in refused.stdout
    with pytest.raises(AssertionError, match="has a record of it"):
        empty_db.psql(script=run_command("sql", "-c", file).stdout)
    assert slots(empty_db) == []
    checked = run_command("check", "-c", file, "-o", "json")
    assert checked.returncode == 2 and subjects(checked, "stops") == [f"slot {empty_db.slot}"]


def test_what_keeps_a_slot_from_being_made_is_named(empty_db, sink_map):
    file = sink_map()
    with contextlib.closing(empty_db.conn(autocommit=False)) as writer:
        cursor = writer.cursor()
        cursor.execute("SELECT pg_current_xact_id(), pg_backend_pid()")
        [[_, pid]] = cursor.fetchall()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(apply(empty_db, file)))
        thread.start()
        thread.join(60)
        [refused] = answers
        assert refused.returncode == 2
        assert f"pid {pid}" in refused.stdout and f"pg_terminate_backend({pid})" in refused.stdout
        assert slots(empty_db) == []
    assert apply(empty_db, file).returncode == 0


def test_a_role_that_is_missing_or_may_not_replicate_is_told_with_its_mend(empty_db, sink_map):
    file = sink_map(role=None)
    refused = apply(empty_db, file)
    assert refused.returncode == 2
    assert f'create role "{empty_db.relay_user}" login replication;' in refused.stdout
    empty_db.sql(f"CREATE ROLE {empty_db.relay_user} LOGIN NOREPLICATION")
    checked = run_command("check", "-c", file, "-o", "json")
    assert checked.returncode == 2 and subjects(checked, "stops") == ["replication", "rights"]
    assert apply(empty_db, file).returncode == 0
    assert run_command("check", "-c", file).returncode == 0


def test_a_user_without_rights_is_told_to_come_as_the_owner(empty_db, sink_map):
    file = sink_map()
    refused = run_command("sql", "-c", file, "--apply")
    assert refused.returncode == 2 and "--conninfo" in refused.stdout


# check


@pytest.mark.every_major
def test_an_empty_database_is_told_everything_that_is_missing(empty_db, sink_map):
    file = sink_map()
    checked = run_command("check", "-c", file, "-o", "json")
    assert checked.returncode == 2
    assert subjects(checked, "stops") == [
        "replication", "schema", f"publication {empty_db.publication}", "table walrelay.outbox",
        f"slot {empty_db.slot}"]
    text = run_command("check", "-c", file)
    assert text.returncode == 2
    assert f"-> walrelay sql -c {file} --apply" in text.stdout
    assert text.stdout.endswith("5 findings stop the relay\n")


def test_a_server_that_does_not_answer_is_a_finding(empty_db, sink_map):
    file = sink_map()
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings["source"]["conninfo"] = "host=127.0.0.1 port=1 dbname=x user=x"
    file.write_text(json.dumps(settings), encoding="utf-8")
    checked = run_command("check", "-c", file)
    assert checked.returncode == 2
    assert "stops  connection" in checked.stdout and "refused" in checked.stdout


def test_a_wrong_sink_map_is_told_by_line(tmp_path):
    file = tmp_path / "relay.yaml"
    file.write_text("source: {}\nsinks: {}\nroutse: []\n", encoding="utf-8")
    checked = run_command("check", "-c", file)
    assert checked.returncode == 2 and f"{file}:3:1" in checked.stdout
    printed = run_command("sql", "-c", file)
    assert printed.returncode == 2 and f"{file}:3:1" in printed.stderr and printed.stdout == ""


@pytest.mark.every_major
def test_publications_and_slots_that_would_hurt_are_found(empty_db, sink_map):
    file = sink_map()
    assert apply(empty_db, file).returncode == 0
    empty_db.sql(f"ALTER PUBLICATION {empty_db.publication} SET (publish = 'insert, update',"
                 " publish_via_partition_root = false)")
    empty_db.sql("SELECT pg_drop_replication_slot(%s)", [empty_db.slot])
    empty_db.sql("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", [empty_db.slot])
    checked = run_command("check", "-c", file, "-o", "json")
    name = f"publication {empty_db.publication}"
    assert checked.returncode == 2
    assert subjects(checked, "stops") == [name, f"slot {empty_db.slot}"]
    assert name in subjects(checked, "warns")


def test_a_slot_of_a_newer_server_survives_a_failover(new_cluster, tmp_path):
    database = new_cluster(version=18).database()
    database.sql("CREATE ROLE relay LOGIN")
    file = tmp_path / "relay.yaml"
    file.write_text(json.dumps({
        "source": {"conninfo": database.dsn(user="relay"), "slot": "s", "publication": "p"},
        "sinks": {"console": {"stdout": {}}},
        "routes": [{"from": "walrelay.outbox", "to": "console"}]}), encoding="utf-8")
    done = apply(database, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert database.sql("SELECT slot_name, failover FROM pg_replication_slots") == [("s", True)]
    checked = run_command("check", "-c", file)
    assert checked.returncode == 0, checked.stdout
