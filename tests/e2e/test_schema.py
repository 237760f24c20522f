"""The SQL of sql/: what it installs, who may call it, and what an event becomes."""

import contextlib
import json
import pathlib
import uuid

import pytest
from psycopg2 import errors

from support.relay import run_command

sql_folder = pathlib.Path(__file__).resolve().parents[2] / "sql"
old_schema = pathlib.Path(__file__).with_name("fixtures") / "schema_before_queues.sql"
emit_calls = [
    "SELECT walrelay.emit('t', '{}')",
    r"SELECT walrelay.emit_raw('t', '\x00')",
    "SELECT walrelay.emit_many('t', array['1']::jsonb[])",
]
app_calls = [
    *emit_calls,
    "SELECT walrelay.emit_wal('t', '{}')",
    "SELECT walrelay.enqueue_workflow('w')",
    "SELECT walrelay.enqueue_workflows('w', 'default', array['1']::jsonb[])",
]
parked_calls = [
    "SELECT walrelay.redrive('{1}')",
    "SELECT walrelay.drop_parked('{1}')",
    "SELECT walrelay.pause('s', 'sink')",
    "SELECT walrelay.resume('s', 'sink')",
    "SELECT walrelay.prune()",
]
keep_record = ("INSERT INTO walrelay.progress (slot, safe_lsn, epoch, delivered_snapshot,"
               " system_identifier, timeline) SELECT 's', '0/1', 1, pg_current_snapshot(),"
               " system_identifier, 1 FROM pg_control_system()")


@pytest.fixture
def outbox(empty_db):
    """A database with the schema and nothing else."""
    empty_db.install_schema()
    return empty_db


def install_as(database, user, *names):
    files = sorted(sql_folder.glob("[0-9]*.sql"))
    chosen = [file for file in files if not names or file.name.startswith(names)]
    assert chosen
    database.psql(*(part for file in chosen for part in ("-f", str(file))), user=user)


def snapshot_of_schema(database):
    """Every table, column and function with its owner and its rights."""
    return database.sql("""
        SELECT c.relname, c.relkind::text || (
                   SELECT coalesce(string_agg(format(' %s %s', a.attname, a.atttypid::regtype), ','
                                              ORDER BY a.attnum), '')
                   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
               pg_get_userbyid(c.relowner), c.relacl::text
        FROM pg_class c WHERE c.relnamespace = 'walrelay'::regnamespace
        UNION ALL
        SELECT p.oid::regprocedure::text, p.prosecdef::text, pg_get_userbyid(p.proowner),
               p.proacl::text
        FROM pg_proc p WHERE p.pronamespace = 'walrelay'::regnamespace ORDER BY 1""")


# Installing


@pytest.mark.every_major
def test_installing_twice_changes_nothing_and_keeps_the_rows(outbox):
    before = snapshot_of_schema(outbox)
    outbox.sql(emit_calls[0])
    outbox.install_schema()
    assert snapshot_of_schema(outbox) == before
    assert outbox.value("SELECT count(*) FROM walrelay.outbox") == 1


def test_installing_again_does_not_wait_for_writers(outbox):
    with contextlib.closing(outbox.conn(autocommit=False)) as writer:
        writer.cursor().execute(emit_calls[0])
        outbox.sql(f"ALTER DATABASE {outbox.name} SET lock_timeout = '2s'")
        outbox.install_schema()


def test_a_half_finished_installation_is_completed(empty_db):
    empty_db.install_schema()
    complete = snapshot_of_schema(empty_db)
    empty_db.sql("DROP TABLE walrelay.outbox_07, walrelay.outbox_23, walrelay.dispatch_00")
    empty_db.sql("DROP FUNCTION walrelay.emit_many, walrelay.enqueue_workflow")
    for table in ("outbox_03", "dispatch", "queue", "progress", "parked", "redrive"):
        empty_db.sql(f"ALTER TABLE walrelay.{table} OWNER TO postgres")
    empty_db.sql("DELETE FROM walrelay.queue")
    install_as(empty_db, "postgres", "010", "020")
    install_as(empty_db, "postgres")
    assert snapshot_of_schema(empty_db) == complete
    assert empty_db.sql("TABLE walrelay.queue") == [("default", "ack")]


@pytest.mark.every_major
def test_an_older_schema_becomes_the_new_one_and_keeps_its_rows(empty_db, role):
    empty_db.psql("-f", str(old_schema))
    shop = role("IN ROLE walrelay_app")
    empty_db.sql(emit_calls[0], user=shop)
    empty_db.sql(keep_record)
    with contextlib.closing(empty_db.conn(user=shop, autocommit=False)) as writer:
        writer.cursor().execute(emit_calls[0])
        empty_db.sql(f"ALTER DATABASE {empty_db.name} SET lock_timeout = '2s'")
        empty_db.install_schema()
        for statement in app_calls:
            writer.cursor().execute(statement)
        writer.commit()
    assert empty_db.value("SELECT count(*) FROM walrelay.outbox") == 5
    assert empty_db.value("SELECT count(*) FROM walrelay.dispatch") == 2
    assert empty_db.value("SELECT count(*) FROM walrelay.progress") == 1
    upgraded = snapshot_of_schema(empty_db)
    empty_db.sql("DROP SCHEMA walrelay CASCADE")
    empty_db.install_schema()
    assert snapshot_of_schema(empty_db) == upgraded


@pytest.mark.every_major
def test_an_owner_without_superuser_installs_and_publishes(empty_db, role):
    owner = role("CREATEROLE")
    empty_db.sql(f"GRANT CREATE ON DATABASE {empty_db.name} TO {owner}")
    # The roles are there already, made by somebody else: membership is what counts then.
    empty_db.sql(f"GRANT walrelay_owner TO {owner}" if role_exists(empty_db) else "SELECT 1")
    install_as(empty_db, owner)
    install_as(empty_db, owner)
    empty_db.sql("CREATE PUBLICATION p FOR TABLE walrelay.outbox", user=owner)
    assert empty_db.value("SELECT count(*) FROM pg_class"
                          " WHERE relnamespace = 'walrelay'::regnamespace"
                          " AND relowner <> 'walrelay_owner'::regrole") == 0
    empty_db.sql("DROP SCHEMA walrelay CASCADE")


def role_exists(database):
    return database.value("SELECT count(*) FROM pg_roles WHERE rolname = 'walrelay_owner'") == 1


@pytest.mark.every_major
def test_an_owner_with_createrole_makes_the_roles(new_cluster):
    server = new_cluster()
    server.sql("CREATE ROLE boss LOGIN CREATEROLE")
    database = server.database()
    server.sql(f"GRANT CREATE ON DATABASE {database.name} TO boss")
    install_as(database, "boss")
    assert database.sql("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'walrelay%'"
                        " ORDER BY 1") == [("walrelay_app", False), ("walrelay_owner", False),
                                           ("walrelay_relay", False)]
    server.sql("CREATE ROLE plain LOGIN")
    other = server.database()
    server.sql(f"GRANT CREATE ON DATABASE {other.name} TO plain")
    with pytest.raises(AssertionError, match="permission denied|must have admin option"):
        install_as(other, "plain")


@pytest.mark.every_major
def test_who_may_not_create_roles_is_told_what_to_ask_for(new_cluster):
    server = new_cluster()
    server.sql("CREATE ROLE plain LOGIN")
    database = server.database()
    with pytest.raises(AssertionError, match="create role walrelay_owner nologin"):
        install_as(database, "plain")


def test_a_schema_that_somebody_else_made_is_not_built_upon(empty_db, role):
    squatter = role()
    empty_db.sql(f"CREATE SCHEMA walrelay AUTHORIZATION {squatter}")
    with pytest.raises(AssertionError, match="schema walrelay exists and belongs to"):
        install_as(empty_db, "postgres")


def test_the_program_brings_every_file_and_upgrades_with_them(empty_db):
    printed = run_command("sql").stdout
    places = [printed.find(file.read_text(encoding="utf-8"))
              for file in sorted(sql_folder.glob("[0-9]*.sql"))]
    assert len(places) >= 6 and -1 not in places and places == sorted(places)
    empty_db.psql("-f", str(old_schema))
    empty_db.psql(script=printed)
    upgraded = snapshot_of_schema(empty_db)
    empty_db.install_schema()
    assert snapshot_of_schema(empty_db) == upgraded


# Rights


@pytest.mark.every_major
def test_public_has_no_rights(outbox, role):
    stranger = role()
    for statement in [*app_calls, "TABLE walrelay.outbox", "TABLE walrelay.outbox_05",
                      "TABLE walrelay.progress", "SELECT walrelay.rotate()",
                      "TABLE walrelay.queue", "TABLE walrelay.dispatch",
                      "TABLE walrelay.dispatch_05",
                      "SELECT walrelay.create_queue('q')", "SELECT walrelay.uuid7()",
                      *parked_calls, "TABLE walrelay.parked", "TABLE walrelay.redrive",
                      "SELECT nextval('walrelay.outbox_seq_seq')",
                      "SELECT nextval('walrelay.dispatch_seq_seq')",
                      "CREATE TABLE walrelay.mine ()"]:
        with pytest.raises(errors.InsufficientPrivilege):
            outbox.sql(statement, user=stranger)
    # No function may lose its revoke, whoever gets USAGE on the schema.
    assert outbox.sql("SELECT p.oid::regprocedure::text FROM pg_proc p"
                      " WHERE p.pronamespace = 'walrelay'::regnamespace"
                      " AND has_function_privilege('public', p.oid, 'EXECUTE')") == []
    # What somebody else than the owner may call runs as the owner, whatever the search_path is.
    assert outbox.sql("SELECT p.oid::regprocedure::text FROM pg_proc p"
                      " WHERE p.pronamespace = 'walrelay'::regnamespace"
                      " AND (p.proowner <> 'walrelay_owner'::regrole OR"
                      " NOT (p.prosecdef AND p.proconfig = '{\"search_path=pg_catalog, pg_temp\"}')"
                      " AND EXISTS (SELECT FROM aclexplode(p.proacl) a"
                      " WHERE a.grantee <> p.proowner))") == []


@pytest.mark.every_major
def test_applications_emit_and_enqueue_and_do_nothing_else(outbox, role):
    shop = role("IN ROLE walrelay_app")
    for statement in app_calls:
        outbox.sql(statement, user=shop)
    for statement in ["TABLE walrelay.outbox", "DELETE FROM walrelay.outbox",
                      "INSERT INTO walrelay.outbox (topic) VALUES ('t')",
                      "TRUNCATE walrelay.outbox", "TABLE walrelay.progress",
                      "SELECT walrelay.rotate()", "SELECT walrelay.create_queue('q')",
                      "INSERT INTO walrelay.queue VALUES ('q', 'ack')", "TABLE walrelay.queue",
                      "INSERT INTO walrelay.dispatch (push, queue, name, workflow_id, attempt,"
                      " input) VALUES (1, 'default', 'w', gen_random_uuid(), 1, '{}')",
                      "TABLE walrelay.dispatch", "SELECT walrelay.uuid7()", *parked_calls,
                      "TABLE walrelay.parked", "TABLE walrelay.redrive"]:
        with pytest.raises(errors.InsufficientPrivilege):
            outbox.sql(statement, user=shop)


@pytest.mark.every_major
def test_the_relay_keeps_its_record_and_rotates_and_does_nothing_else(outbox, role):
    relay = role("IN ROLE walrelay_relay")
    outbox.sql(keep_record, user=relay)
    outbox.sql("UPDATE walrelay.progress SET safe_lsn = '0/2'", user=relay)
    outbox.sql("SELECT walrelay.rotate()", user=relay)
    for statement in [*parked_calls, "TABLE walrelay.parked", "TABLE walrelay.redrive",
                      "UPDATE walrelay.parked SET state = 'held'"]:
        outbox.sql(statement, user=relay)
    for statement in [*app_calls, "TABLE walrelay.outbox", "DELETE FROM walrelay.progress",
                      "TRUNCATE walrelay.outbox", "SELECT walrelay.create_queue('q')",
                      "TABLE walrelay.dispatch", "TRUNCATE walrelay.dispatch",
                      "DELETE FROM walrelay.parked", "DELETE FROM walrelay.redrive",
                      "INSERT INTO walrelay.redrive (action, slot) VALUES ('drop', 's')",
                      "SELECT walrelay.mark_parked('drop', '{1}')",
                      "SELECT walrelay.mark_sink('pause', 's', 'sink')"]:
        with pytest.raises(errors.InsufficientPrivilege):
            outbox.sql(statement, user=relay)


def test_a_search_path_full_of_traps_changes_nothing(outbox, role):
    attacker = role("IN ROLE walrelay_app")
    outbox.sql(f"CREATE SCHEMA traps AUTHORIZATION {attacker}")
    with contextlib.closing(outbox.conn(user=attacker)) as session:
        cursor = session.cursor()
        for trap in [
                "CREATE FUNCTION traps.gen_random_uuid() RETURNS uuid LANGUAGE plpgsql AS"
                " $$ BEGIN EXECUTE 'GRANT walrelay_owner TO ' || session_user; RETURN NULL; END $$",
                "CREATE FUNCTION traps.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS"
                " $$ SELECT 'object' $$",
                "CREATE FUNCTION traps.cardinality(anyarray) RETURNS int LANGUAGE sql AS"
                " $$ SELECT 1 $$",
                "CREATE FUNCTION traps.array_ne(uuid, uuid) RETURNS bool LANGUAGE sql AS"
                " $$ SELECT false $$",
                "CREATE TEMP TABLE outbox (topic text)"]:
            cursor.execute(trap)
        cursor.execute("SET search_path = traps, pg_temp, pg_catalog")
        cursor.execute("SELECT walrelay.emit('t', '{}', headers => '{}')")
        assert cursor.fetchone()[0] is not None
        with pytest.raises(errors.InvalidParameterValue):
            cursor.execute("SELECT walrelay.emit('t', '{}', headers => '[]')")
        with pytest.raises(errors.InvalidParameterValue):
            cursor.execute("SELECT walrelay.emit_many('t', array['1', '2']::jsonb[], array['k'])")
        cursor.execute("SELECT count(*) FROM pg_temp.outbox")
        assert cursor.fetchone() == (0,)
    assert outbox.value("SELECT count(*) FROM walrelay.outbox") == 1


# Emitting


@pytest.mark.every_major
def test_an_event_is_stored_as_it_was_given(outbox):
    event = outbox.value("SELECT walrelay.emit('orders', '{\"a\": 1}', key => '', type => 'placed',"
                         " headers => '{\"h\": \"v\"}')")
    raw = outbox.value(r"SELECT walrelay.emit_raw('orders', '\x00ff', 'k')")
    null = outbox.value("SELECT walrelay.emit('orders', NULL, 'k')")
    rows = outbox.sql("SELECT id::text, topic, key, type, payload, raw, headers"
                      " FROM walrelay.outbox ORDER BY seq")
    assert [(*row[:5], row[5] and bytes(row[5]), row[6]) for row in rows] == [
        (event, "orders", "", "placed", {"a": 1}, None, {"h": "v"}),
        (raw, "orders", "k", None, None, b"\x00\xff", None),
        (null, "orders", "k", None, None, None, None)]
    assert outbox.value("SELECT extract(hour from max(at) at time zone 'UTC') ="
                        " max(right(tableoid::regclass::text, 2)::int) FROM walrelay.outbox")


@pytest.mark.every_major
def test_many_events_keep_their_order_and_their_arguments(outbox):
    many = 1000
    ids = outbox.value(
        "SELECT walrelay.emit_many('t', array_agg(to_jsonb(i) ORDER BY i),"
        " array_agg('k' || i ORDER BY i), array_agg('y' || i ORDER BY i),"
        " array_agg(jsonb_build_object('i', i) ORDER BY i))::text[]"
        f" FROM generate_series(1, {many}) i")
    rows = outbox.sql("SELECT id::text, payload, key, type, headers FROM walrelay.outbox"
                      " ORDER BY seq")
    assert rows == [(ids[i - 1], i, f"k{i}", f"y{i}", {"i": i}) for i in range(1, many + 1)]
    assert len(set(ids)) == many
    assert outbox.value("SELECT walrelay.emit_many('t', '{}')::text") == "{}"
    outbox.sql("SELECT walrelay.emit_many('t', array[NULL, '1']::jsonb[],"
               " headers => array['{}', NULL]::jsonb[])")
    assert outbox.value("SELECT count(*) FROM walrelay.outbox") == many + 2


@pytest.mark.parametrize("call, text", [
    ("emit(NULL, '{}')", "emit: topic must not be NULL or empty"),
    ("emit('', '{}')", "emit: topic must not be NULL or empty"),
    ("emit('t', '{}', headers => '[]')", "emit: headers must be a JSON object, not array"),
    ("emit('t', '{}', headers => 'null')", "emit: headers must be a JSON object, not null"),
    ("emit_wal(NULL, '{}')", "emit_wal: topic must not be NULL or empty"),
    ("emit_wal('', '{}')", "emit_wal: topic must not be NULL or empty"),
    ("emit_wal('t', '{}', headers => '\"h\"')",
     "emit_wal: headers must be a JSON object, not string"),
    ("emit_raw('', '')", "emit_raw: topic must not be NULL or empty"),
    ("emit_raw('t', '', headers => '1')", "emit_raw: headers must be a JSON object, not number"),
    ("emit_many('', '{}')", "emit_many: topic must not be NULL or empty"),
    ("emit_many('t', NULL)", "emit_many: payloads must not be NULL"),
    ("emit_many('t', array['1', '2']::jsonb[], array['k'])",
     "as long as payloads (2); they have 1"),
    ("emit_many('t', array['1']::jsonb[], types => '{}')", "they have NULL, 0 and NULL"),
    ("emit_many('t', array['1', '2']::jsonb[], headers => array['{}', '[]']::jsonb[])",
     "emit_many: headers number 2 must be a JSON object"),
])
def test_a_wrong_argument_is_named(outbox, call, text):
    with pytest.raises(errors.InvalidParameterValue) as caught:
        outbox.sql(f"SELECT walrelay.{call}")
    assert text in str(caught.value)


@pytest.mark.every_major
def test_events_can_be_emitted_by_triggers(outbox, role):
    shop = role("IN ROLE walrelay_app")
    outbox.sql("CREATE TABLE orders (id int)")
    outbox.sql("CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " PERFORM walrelay.emit('orders', to_jsonb(new), new.id::text); RETURN NULL; END $$")
    outbox.sql("CREATE TRIGGER told AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION told()")
    outbox.sql(f"GRANT INSERT ON orders TO {shop}")
    outbox.sql("INSERT INTO orders VALUES (1), (2)", user=shop)
    assert outbox.sql("SELECT key, payload FROM walrelay.outbox ORDER BY seq") == [
        ("1", {"id": 1}), ("2", {"id": 2})]


@pytest.mark.every_major
def test_an_event_goes_with_its_transaction(outbox):
    with contextlib.closing(outbox.conn(autocommit=False)) as session:
        cursor = session.cursor()
        for statement in emit_calls:
            cursor.execute(statement)
        session.rollback()
        cursor.execute("SELECT walrelay.emit('t', '1')")
        cursor.execute("SAVEPOINT s")
        cursor.execute("SELECT walrelay.emit('t', '2')")
        cursor.execute("ROLLBACK TO s")
        session.commit()
    assert outbox.sql("SELECT payload FROM walrelay.outbox") == [(1,)]


@pytest.mark.every_major
def test_events_can_be_emitted_in_a_prepared_transaction(outbox):
    with contextlib.closing(outbox.conn(autocommit=False)) as session:
        for statement in emit_calls:
            session.cursor().execute(statement)
        session.cursor().execute("PREPARE TRANSACTION 'emitted'")
    assert outbox.value("SELECT count(*) FROM walrelay.outbox") == 0
    outbox.sql("COMMIT PREPARED 'emitted'")
    assert outbox.value("SELECT count(*) FROM walrelay.outbox") == 3


# Messages


def messages_of(database):
    """The messages that the slot of the database has, as (in a transaction, prefix, content)."""
    found = []
    for [line] in database.sql(
            "SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL,"
            " 'proto_version', '1', 'publication_names', %s, 'messages', 'true')",
            [database.slot, database.publication]):
        line = bytes(line)
        if line[:1] == b"M":
            prefix, _, rest = line[10:].partition(b"\0")
            assert int.from_bytes(rest[:4], "big") == len(rest) - 4
            found.append((line[1] == 1, prefix.decode(), rest[4:].decode()))
    return found


@pytest.mark.every_major
def test_a_message_has_the_members_of_an_event_and_its_payload_as_it_is_printed(db, role):
    shop = role("IN ROLE walrelay_app")
    payload = '{"b": [1.10, 1e2], "a": "\\u0001 ü"}'
    before = db.wal_position()
    [[lsn]] = db.sql("SELECT walrelay.emit_wal('orders', %s, key => 'k \"1\"', type => 'made',"
                     " headers => '{\"tenant\": \"7\"}') - '0/0'::pg_lsn", [payload], user=shop)
    db.sql("SELECT walrelay.emit_wal('t', NULL), walrelay.emit_wal('t', NULL)", user=shop)
    assert before <= lsn <= db.wal_position()
    found = messages_of(db)
    assert [row[:2] for row in found] == [(True, "walrelay")] * 3
    full, bare, other = (json.loads(content) for _, _, content in found)
    assert list(full) == list(bare) == ["id", "topic", "key", "type", "headers", "payload"]
    assert str(uuid.UUID(full.pop("id"))) and bare["id"] != other["id"]
    assert full == {"topic": "orders", "key": 'k "1"', "type": "made", "headers": {"tenant": "7"},
                    "payload": json.loads(payload)}
    assert db.value("SELECT %s::jsonb::text", [payload]) in found[0][2]
    bare.pop("id")
    assert bare == {"topic": "t", "key": None, "type": None, "headers": None, "payload": None}


@pytest.mark.every_major
def test_a_message_goes_with_its_transaction_and_is_stored_nowhere(db):
    with contextlib.closing(db.conn(autocommit=False)) as session:
        cursor = session.cursor()
        cursor.execute("SELECT walrelay.emit_wal('rolled back', '1')")
        session.rollback()
        cursor.execute("SELECT walrelay.emit_wal('kept', '2')")
        cursor.execute("SAVEPOINT s")
        cursor.execute("SELECT walrelay.emit_wal('undone', '3')")
        cursor.execute("ROLLBACK TO s")
        session.commit()
        cursor.execute("SELECT walrelay.emit_wal('prepared', '4')")
        cursor.execute(f"PREPARE TRANSACTION '{db.name}'")
    assert [json.loads(content)["topic"] for _, _, content in messages_of(db)] == ["kept"]
    db.sql(f"COMMIT PREPARED '{db.name}'")
    assert [json.loads(content)["topic"] for _, _, content in messages_of(db)] == ["prepared"]
    assert db.value("SELECT count(*) FROM walrelay.outbox") == 0
