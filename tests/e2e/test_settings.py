"""Settings of role and database that would change bytes or promises change neither."""

import pytest

from support.events import Arrivals, emit, outbox_to, to_http
from support.relay import config, run_command

hostile = {
    "datestyle": "'German, DMY'",
    "timezone": "'Pacific/Chatham'",
    "intervalstyle": "'iso_8601'",
    "bytea_output": "'escape'",
    "extra_float_digits": "-15",
    "search_path": "'nowhere'",
    "synchronous_commit": "off",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "'serializable'",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "idle_session_timeout": "1",
    "standard_conforming_strings": "off",
    "client_encoding": "'LATIN1'",
    "client_min_messages": "'debug5'",
    "row_security": "off",
    "quote_all_identifiers": "on",
}
values = (
    "1, '2026-03-04 05:06:07.089+00', '2026-12-01', 0.1::float8 + 0.2, '1 day 02:03:04',"
    " 'žluťoučký \\', '\\x5c00ff', true, 12.50"
)
shape = {
    "id": "{id}",
    "key": "{at}|{day}|{number}|{span}",
    "type": "{word}|{flag}|{amount}",
    "payload": "bytes",
}
expected = {
    "webhook-id": "1",
    "x-walrelay-key": "2026-03-04 05:06:07.089+00|2026-12-01|0.30000000000000004|1 day 02:03:04",
    "x-walrelay-type": "%C5%BElu%C5%A5ou%C4%8Dk%C3%BD \\|t|12.50",
}


@pytest.mark.every_major
def test_hostile_settings_of_the_role_change_no_byte_and_no_promise(db, receiver, relay):
    db.sql(
        "CREATE TABLE typed (id int, at timestamptz, day date, number float8, span interval,"
        " word text, bytes bytea, flag bool, amount numeric)"
    )
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE typed")
    for name, value in hostile.items():
        db.sql(f"ALTER ROLE {db.relay_user} SET {name} = {value}")
        db.sql(f"ALTER ROLE {db.relay_user} IN DATABASE {db.name} SET {name} = {value}")
    settings = config(
        db,
        {"endpoint": {"http": {"url": receiver.url}}},
        [outbox_to("endpoint"), {"from": "public.typed", "shape": shape, "to": "endpoint"}],
    )
    process = relay(settings).wait_ready()
    db.sql(f"INSERT INTO typed VALUES ({values})")
    [request] = receiver.wait_for(1)
    assert {name: request.headers.get(name) for name in expected} == expected
    assert request.body == b"\x5c\x00\xff"
    process.wait_settled()
    assert process.stop() == 0
    process.start(wait=True)
    emit(db, 1, 50, keys=5)
    receiver.wait_for(51)
    process.wait_settled()
    assert len(receiver.requests) == 51


def test_settings_of_the_environment_change_no_byte(db, receiver, relay):
    environment = {
        "PGDATESTYLE": "German",
        "PGTZ": "Pacific/Chatham",
        "PGCLIENTENCODING": "LATIN1",
        "PGOPTIONS": "-c bytea_output=escape -c synchronous_commit=off",
        "TZ": "Pacific/Chatham",
        "LC_ALL": "C",
    }
    process = relay(to_http(db, receiver), environment=environment).wait_ready()
    db.sql("SELECT walrelay.emit_raw('ü', '\\x5c00', key => 'ü')")
    [request] = receiver.wait_for(1)
    assert request.body == b"\x5c\x00"
    assert request.headers["x-walrelay-key"] == "%C3%BC"
    process.wait_settled()


@pytest.mark.every_major
def test_names_that_need_quotes_work(cluster, schema_template, receiver, relay):
    database = cluster.database(schema_template)
    try:
        database.create_relay_role()
        database.publication = "Käse, \"x\" '"
        database.sql(
            "CREATE PUBLICATION \"Käse, \"\"x\"\" '\" FOR TABLE walrelay.outbox"
            " WITH (publish = 'insert', publish_via_partition_root = true)"
        )
        database.sql('CREATE SCHEMA "Sch.ema"')
        database.sql('CREATE TABLE "Sch.ema"."Ta""b le" ("Id" int, "bo""dy" text)')
        database.sql(
            "ALTER PUBLICATION \"Käse, \"\"x\"\" '\" ADD TABLE \"Sch.ema\".\"Ta\"\"b le\""
        )
        database.create_slot()
        settings = config(
            database,
            {"endpoint": {"http": {"url": receiver.url}}},
            [
                outbox_to("endpoint"),
                {
                    "from": '"Sch.ema"."Ta""b le"',
                    "shape": {"id": "{Id}", "payload": 'bo"dy'},
                    "to": "endpoint",
                },
            ],
        )
        settings["source"]["publication"] = [database.publication]
        relay(settings).wait_ready()
        database.sql('INSERT INTO "Sch.ema"."Ta""b le" VALUES (5, \'x\')')
        emit(database, 1)
        assert sorted(request.body for request in receiver.wait_for(2)) == [b"x", b'{"n": 1}']
        assert Arrivals.of([one for one in receiver.requests if one.body != b"x"]).distinct == {1}
    finally:
        database.drop()


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def test_names_that_would_be_sql_stay_names_in_sql_apply_check_and_run(empty_db, receiver, relay):
    """Also where strings know backslashes, which the database's own settings can bring about."""
    role = f"{empty_db.name}\\'; DROP TABLE bait; --\""
    schema, table = "s\"; DROP TABLE bait; --", "t\\'; DROP TABLE bait; --\"$$ $q0$ü"
    publication = "p\\\"'; DROP TABLE bait; --"
    whole = f"{quoted(schema)}.{quoted(table)}"
    empty_db.sql("CREATE TABLE bait ()")
    empty_db.sql(f"ALTER DATABASE {empty_db.name} SET standard_conforming_strings = off")
    empty_db.sql(f"CREATE SCHEMA {quoted(schema)} CREATE TABLE {quoted(table)} (id int, body text)")
    empty_db.sql(f"CREATE ROLE {quoted(role)} LOGIN")
    in_conninfo = role.replace("\\", "\\\\").replace("'", "\\'")
    conninfo = empty_db.dsn(user="USER").replace("USER", f"'{in_conninfo}'")
    route = {"from": whole, "shape": {"id": "{id}", "payload": "body"}, "to": "endpoint"}
    settings = config(
        empty_db,
        {"endpoint": {"http": {"url": receiver.url}}},
        [outbox_to("endpoint"), route],
        source={"conninfo": conninfo, "publication": [publication]},
    )
    process = relay(settings, start=False)
    try:
        # Printed for psql, and then run by the program itself.
        empty_db.psql(script=run_command("sql", "-c", process.file).stdout)
        for command in (
            ("sql", "-c", process.file, "--apply", "--conninfo", empty_db.dsn()),
            ("check", "-c", process.file),
        ):
            done = run_command(*command)
            assert done.returncode == 0, done.stdout + done.stderr
        process.start(wait=True)
        empty_db.sql(f"INSERT INTO {whole} VALUES (5, 'x')")
        assert [request.body for request in receiver.wait_for(1)] == [b"x"]
        process.wait_settled()
        [shown] = [one["table"] for one in process.status()["tables"]]
        assert shown == f"{schema}.{table}"
        label = shown.replace("\\", "\\\\").replace('"', '\\"')
        assert process.metrics()[f'walrelay_events_received_total{{table="{label}"}}'] == 1
        assert empty_db.value("SELECT count(*) FROM bait") == 0, "it is still there"
    finally:
        process.close()
        empty_db.sql(f"DROP OWNED BY {quoted(role)} CASCADE")
        empty_db.cluster.sql(f"DROP ROLE {quoted(role)}")
