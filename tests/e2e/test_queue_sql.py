"""The SQL of workflow queues: what enqueueing stores, what it refuses, and where it works."""

import contextlib
import time
import uuid

import psycopg2
import pytest
from psycopg2 import errors

from support.pooler import Pooler

enqueue_calls = [
    "SELECT walrelay.enqueue_workflow('w', input => '{\"n\": 1}')",
    "SELECT walrelay.enqueue_workflows('w', 'default', array['{\"n\": 2}', '{\"n\": 3}']::jsonb[])",
]


@pytest.fixture
def queues(cluster, schema_template):
    """A database with the schema and nothing else."""
    database = cluster.database(schema_template)
    yield database
    database.drop()


@pytest.fixture
def pooler(cluster):
    server = Pooler(cluster)
    yield server
    server.close()


def enqueue(database, name, user="postgres", **named):
    """The id and `created` of enqueue_workflow with these arguments."""
    texts = [f"{one} => %({one})s" for one in ("name", *named)]
    [row] = database.sql("SELECT id::text, created FROM walrelay.enqueue_workflow("
                         + ", ".join(texts) + ")", {"name": name, **named}, user=user)
    return row


def rows_of(database):
    """The stored pushes in the order of their seq, without ids and times."""
    return database.sql("SELECT push, queue, name, attempt, key, input, headers"
                        " FROM walrelay.dispatch ORDER BY seq")


def times_in(ids):
    """What the ids say of their time, with all digits of it: the order of what is made in one such
    tick is anybody's."""
    return [uuid.UUID(text).int >> 64 for text in ids]


def inputs_of(database):
    return [one for [one] in database.sql("SELECT input FROM walrelay.dispatch ORDER BY seq")]


# What is stored


@pytest.mark.every_major
def test_a_workflow_is_one_push_with_what_it_was_given(queues):
    queues.sql("SELECT walrelay.create_queue('mails')")
    given = str(uuid.uuid4())
    plain = enqueue(queues, "charge")
    full = enqueue(queues, "send", queue="mails", input='{"b": 1.10, "a": "ü"}',
                   workflow_id=given, key="kü", headers='{"tenant": "7"}')
    assert rows_of(queues) == [
        (1, "default", "charge", 1, None, {}, None),
        (1, "mails", "send", 1, "kü", {"a": "ü", "b": 1.10}, {"tenant": "7"})]
    assert queues.sql("SELECT workflow_id::text FROM walrelay.dispatch ORDER BY seq") == [
        (plain[0],), (given,)]
    assert plain[1] is True and full == (given, True)
    assert queues.value("SELECT bool_and(at BETWEEN now() - interval '1 min' AND now())"
                        " FROM walrelay.dispatch")


def test_a_given_id_is_used_as_it_is_also_twice(queues):
    given = str(uuid.uuid4())
    for _ in range(2):
        assert enqueue(queues, "w", workflow_id=given) == (given, True)
    assert len(rows_of(queues)) == 2


@pytest.mark.parametrize("given, stored", [
    (None, {}), ("null", None), ("[]", []), ('"text"', "text"), ("1", 1), ("{}", {})])
def test_the_input_may_be_any_json_and_null_stands_for_an_empty_object(queues, given, stored):
    enqueue(queues, "w", input=given)
    queues.sql("SELECT walrelay.enqueue_workflows('w', 'default', array[%s]::jsonb[])", [given])
    assert inputs_of(queues) == [stored, stored]


def test_an_empty_key_is_a_key(queues):
    enqueue(queues, "w", key="")
    enqueue(queues, "w", key=None)
    assert [row[4] for row in rows_of(queues)] == ["", None]


@pytest.mark.every_major
def test_new_ids_are_of_version_7_and_ascend_with_time(queues):
    before = time.time()
    ids = [enqueue(queues, "w")[0] for _ in range(50)]
    ids += queues.value("SELECT walrelay.enqueue_workflows('w', 'default',"
                        " array_agg(to_jsonb(n)))::text[] FROM generate_series(1, 1000) n")
    ids.append(enqueue(queues, "w")[0])
    after = time.time()
    assert times_in(ids) == sorted(times_in(ids)) and len(set(ids)) == len(ids)
    for text in ids:
        one = uuid.UUID(text)
        assert one.version == 7 and one.variant == uuid.RFC_4122
        assert before - 0.1 <= (one.int >> 80) / 1000 <= after + 0.1
    assert queues.sql("SELECT workflow_id::text FROM walrelay.dispatch ORDER BY seq") == [
        (one,) for one in ids]


@pytest.mark.every_major
def test_many_workflows_keep_their_order_and_their_arguments(queues):
    given = str(uuid.uuid4())
    ids = queues.value(
        "SELECT walrelay.enqueue_workflows('w', 'default', array['1', '2', '3']::jsonb[],"
        " array['a', NULL, 'c'], workflow_ids => array[NULL, %s, NULL]::uuid[],"
        " headers => array[NULL, NULL, '{\"h\": 1}']::jsonb[])::text[]", [given])
    first, last = times_in([ids[0], ids[2]])
    assert ids[1] == given and first <= last and ids[0] != ids[2]
    assert rows_of(queues) == [(1, "default", "w", 1, "a", 1, None),
                               (1, "default", "w", 1, None, 2, None),
                               (1, "default", "w", 1, "c", 3, {"h": 1})]
    assert [row for [row] in queues.sql("SELECT workflow_id::text FROM walrelay.dispatch"
                                        " ORDER BY seq")] == ids
    assert queues.value("SELECT walrelay.enqueue_workflows('w', 'default', '{}')::text") == "{}"
    many = queues.value("SELECT walrelay.enqueue_workflows('many', 'default',"
                        " array_agg(to_jsonb(n) ORDER BY n),"
                        " array_agg('k' || n ORDER BY n))::text[]"
                        " FROM generate_series(1, 1000) n")
    assert queues.sql("SELECT workflow_id::text, key, input FROM walrelay.dispatch"
                      " WHERE name = 'many' ORDER BY seq") == [
        (many[n - 1], f"k{n}", n) for n in range(1, 1001)]


def test_the_table_has_no_index_and_enqueueing_takes_no_more_than_its_one_transaction_id(queues):
    assert queues.sql("SELECT indexrelid::regclass FROM pg_index i JOIN pg_class c"
                      " ON c.oid = i.indrelid WHERE c.relname ~ '^dispatch'") == []
    with contextlib.closing(queues.conn(autocommit=False)) as session:
        cursor = session.cursor()
        for statement in enqueue_calls:
            cursor.execute(statement)
        cursor.execute("SELECT locktype FROM pg_locks WHERE pid = pg_backend_pid()"
                       " AND locktype NOT IN ('relation', 'virtualxid')")
        # A subtransaction would hold one more, an advisory lock or a NOTIFY one of its own kind.
        assert cursor.fetchall() == [("transactionid",)]


# Where it works


@pytest.mark.every_major
def test_a_workflow_goes_with_its_transaction(queues):
    with contextlib.closing(queues.conn(autocommit=False)) as session:
        cursor = session.cursor()
        for statement in enqueue_calls:
            cursor.execute(statement)
        session.rollback()
        cursor.execute("SELECT walrelay.enqueue_workflow('w', input => '10')")
        cursor.execute("SAVEPOINT s")
        cursor.execute("SELECT walrelay.enqueue_workflow('w', input => '20')")
        cursor.execute("ROLLBACK TO s")
        session.commit()
    assert inputs_of(queues) == [10]


@pytest.mark.every_major
def test_workflows_can_be_enqueued_in_a_prepared_transaction(queues):
    for end in ("ROLLBACK", "COMMIT"):
        with contextlib.closing(queues.conn(autocommit=False)) as session:
            for statement in enqueue_calls:
                session.cursor().execute(statement)
            session.cursor().execute(f"PREPARE TRANSACTION '{queues.name}'")
        assert inputs_of(queues) == []
        queues.sql(f"{end} PREPARED '{queues.name}'")
    assert inputs_of(queues) == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.every_major
def test_workflows_can_be_enqueued_by_triggers(queues, role):
    shop = role("IN ROLE walrelay_app")
    queues.sql("CREATE TABLE orders (id int, total numeric)")
    queues.sql("CREATE FUNCTION charge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " PERFORM walrelay.enqueue_workflow('charge', key => new.id::text,"
               " input => to_jsonb(new)); RETURN new; END $$")
    queues.sql("CREATE FUNCTION report() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " PERFORM walrelay.enqueue_workflows('report', 'default', array_agg(to_jsonb(m.id)"
               " ORDER BY m.id)) FROM made m; RETURN NULL; END $$")
    queues.sql("CREATE TRIGGER charge BEFORE INSERT ON orders FOR EACH ROW"
               " EXECUTE FUNCTION charge()")
    queues.sql("CREATE TRIGGER report AFTER INSERT ON orders REFERENCING NEW TABLE AS made"
               " FOR EACH STATEMENT EXECUTE FUNCTION report()")
    queues.sql(f"GRANT INSERT ON orders TO {shop}")
    queues.sql("INSERT INTO orders VALUES (1, 9.90), (2, 5)", user=shop)
    assert [(row[2], row[4], row[5]) for row in rows_of(queues)] == [
        ("charge", "1", {"id": 1, "total": 9.90}), ("charge", "2", {"id": 2, "total": 5}),
        ("report", None, 1), ("report", None, 2)]


@pytest.mark.every_major
def test_workflows_can_be_enqueued_through_pgbouncer_in_transaction_mode(queues, pooler):
    def client():
        return contextlib.closing(psycopg2.connect(
            host="127.0.0.1", port=pooler.port, dbname=queues.name, user="postgres"))

    with client() as one, client() as other:
        backends = set()
        for session in (one, other):
            # What a client sets stays behind on the connection that the other one gets.
            session.cursor().execute("SET search_path = pg_temp")
            session.commit()
        for number in range(20):
            session = (one, other)[number % 2]
            cursor = session.cursor()
            cursor.execute("SELECT pg_backend_pid()")
            backends.add(cursor.fetchone())
            cursor.execute("SELECT created FROM walrelay.enqueue_workflow('w', input => %s)",
                           [str(number)])
            assert cursor.fetchone() == (True,)
            if number % 4 < 2:
                session.commit()
            else:
                session.rollback()
        assert len(backends) == 1, "both clients had the same server connection"
        one.cursor().execute(enqueue_calls[1])
        one.cursor().execute(f"PREPARE TRANSACTION '{queues.name}'")
        one.rollback()
        other.autocommit = True
        other.cursor().execute(f"COMMIT PREPARED '{queues.name}'")
    assert inputs_of(queues) == [
        *(number for number in range(20) if number % 4 < 2), {"n": 2}, {"n": 3}]


def test_a_search_path_full_of_traps_changes_nothing(queues, role):
    attacker = role("IN ROLE walrelay_app")
    queues.sql(f"CREATE SCHEMA traps AUTHORIZATION {attacker}")
    with contextlib.closing(queues.conn(user=attacker)) as session:
        cursor = session.cursor()
        for name in ("gen_random_uuid", "uuidv7", "clock_timestamp"):
            cursor.execute(f"CREATE FUNCTION traps.{name}() RETURNS uuid LANGUAGE plpgsql AS $$"
                           " BEGIN EXECUTE 'GRANT walrelay_owner TO ' || session_user;"
                           " RETURN NULL; END $$")
        cursor.execute("CREATE FUNCTION traps.lpad(text, int, text) RETURNS text LANGUAGE sql AS"
                       " $$ SELECT 'f' $$")
        cursor.execute("CREATE TEMP TABLE queue (name text)")
        cursor.execute("INSERT INTO queue VALUES ('mine')")
        cursor.execute("SET search_path = traps, pg_temp, pg_catalog")
        for statement in enqueue_calls:
            cursor.execute(statement)
        with pytest.raises(errors.ForeignKeyViolation):
            cursor.execute("SELECT walrelay.enqueue_workflow('w', 'mine')")
    assert inputs_of(queues) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert queues.value("SELECT bool_and(substr(workflow_id::text, 15, 1) = '7')"
                        " FROM walrelay.dispatch")


# What is refused


signature = [
    ("name", "text", None), ("queue", "text", "'default'"), ("input", "jsonb", "'{}'"),
    ("workflow_id", "uuid", "NULL"), ("run_at", "timestamp with time zone", "NULL"),
    ("delay", "interval", "NULL"), ("priority", "integer", "0"), ("key", "text", "NULL"),
    ("dedup_key", "text", "NULL"), ("dedup_for", "interval", "NULL"),
    ("dedup_while", "text", "'queued'"), ("on_duplicate", "text", "'return'"),
    ("max_attempts", "integer", "NULL"), ("deadline", "timestamp with time zone", "NULL"),
    ("headers", "jsonb", "NULL"), ("parent", "uuid", "NULL"), ("step", "text", "NULL")]


def test_the_signature_is_the_documented_one(queues):
    [[arguments, result]] = queues.sql(
        "SELECT pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc"
        " WHERE oid = 'walrelay.enqueue_workflow'::regproc")
    wanted = []
    for name, kind, default in signature:
        quoted = default and (f"{default}::{kind}" if default not in ("0",) else default)
        wanted.append(f"{name} {kind}" + (f" DEFAULT {quoted}" if quoted else ""))
    assert arguments == ", ".join([*wanted, "OUT id uuid", "OUT created boolean"])
    assert result == "record"


@pytest.mark.parametrize("argument, value", [
    ("run_at", "now()"), ("delay", "'0s'"), ("priority", "1"), ("priority", "-1"),
    ("dedup_key", "'d'"), ("dedup_for", "'1h'"), ("dedup_while", "'live'"),
    ("on_duplicate", "'raise'"), ("on_duplicate", "'replace'"), ("max_attempts", "3"),
    ("deadline", "now()"), ("parent", "gen_random_uuid()"), ("step", "'s'")])
def test_an_argument_whose_time_has_not_come_is_refused_by_name(queues, argument, value):
    with pytest.raises(errors.FeatureNotSupported) as caught:
        queues.sql(f"SELECT walrelay.enqueue_workflow('w', {argument} => {value})")
    assert caught.value.diag.message_primary == (
        f"walrelay.enqueue_workflow: {argument} is not available yet")
    assert rows_of(queues) == []


def test_what_is_given_as_its_default_or_null_is_not_refused(queues):
    queues.sql("SELECT walrelay.enqueue_workflow('w', priority => 0, dedup_while => 'queued',"
               " on_duplicate => 'return')")
    nulls = ", ".join(f"{name} => NULL" for name, _, _ in signature[2:])
    queues.sql(f"SELECT walrelay.enqueue_workflow('w', {nulls})")
    assert inputs_of(queues) == [{}, {}]


@pytest.mark.parametrize("call, state, text", [
    ("enqueue_workflow(NULL)", "22023", "enqueue_workflow: name must not be NULL or empty"),
    ("enqueue_workflow('')", "22023", "enqueue_workflow: name must not be NULL or empty"),
    ("enqueue_workflow('w', NULL)", "22023", "enqueue_workflow: queue must not be NULL"),
    ("enqueue_workflow('w', headers => '[]')", "22023",
     "enqueue_workflow: headers must be a JSON object, not array"),
    ("enqueue_workflow('w', headers => 'null')", "22023",
     "enqueue_workflow: headers must be a JSON object, not null"),
    ("enqueue_workflow('w', 'mails')", "23503",
     'enqueue_workflow: queue "mails" does not exist'),
    ("enqueue_workflow('w', 'Default')", "23503",
     'enqueue_workflow: queue "Default" does not exist'),
    ("enqueue_workflow('w', '')", "23503", 'enqueue_workflow: queue "" does not exist'),
    ("enqueue_workflows('', 'default', '{}')", "22023",
     "enqueue_workflows: name must not be NULL or empty"),
    ("enqueue_workflows('w', NULL, '{}')", "22023", "enqueue_workflows: queue must not be NULL"),
    ("enqueue_workflows('w', 'mails', '{}')", "23503",
     'enqueue_workflows: queue "mails" does not exist'),
    ("enqueue_workflows('w', 'default', NULL)", "22023",
     "enqueue_workflows: inputs must not be NULL"),
    ("enqueue_workflows('w', 'default', array['1', '2']::jsonb[], array['k'])", "22023",
     "enqueue_workflows: keys, workflow_ids and headers must be NULL or as long as inputs (2);"
     " they have 1, NULL and NULL"),
    ("enqueue_workflows('w', 'default', array['1']::jsonb[], workflow_ids => '{}')", "22023",
     "they have NULL, 0 and NULL"),
    ("enqueue_workflows('w', 'default', array['1']::jsonb[],"
     " headers => array['{}', '{}']::jsonb[])", "22023", "they have NULL, NULL and 2"),
    ("enqueue_workflows('w', 'default', array['1', '2']::jsonb[],"
     " headers => array['{}', '1']::jsonb[])", "22023",
     "enqueue_workflows: headers number 2 must be a JSON object"),
])
def test_a_wrong_argument_is_named(queues, call, state, text):
    with pytest.raises(psycopg2.Error) as caught:
        queues.sql(f"SELECT walrelay.{call}")
    assert caught.value.pgcode == state
    assert text in caught.value.diag.message_primary
    assert caught.value.diag.message_primary.startswith("walrelay.")
    assert rows_of(queues) == []


def test_an_unknown_queue_is_told_with_its_mend(queues, role):
    shop = role("IN ROLE walrelay_app")
    with pytest.raises(errors.ForeignKeyViolation) as caught:
        enqueue(queues, "w", queue="mails", user=shop)
    hint = caught.value.diag.message_hint
    assert "select walrelay.create_queue('mails');" in hint and "walrelay_owner" in hint
    queues.sql(hint.partition(": ")[2])
    enqueue(queues, "w", queue="mails", user=shop)
    assert [row[1] for row in rows_of(queues)] == ["mails"]


# Queues


@pytest.mark.every_major
def test_the_queue_default_is_there_and_operators_make_others(queues, role):
    operator = role("IN ROLE walrelay_owner")
    assert queues.sql("TABLE walrelay.queue") == [("default", "ack")]
    longest = "q" * 249
    for name in ("mails", "A-z.0_9", "_x", "...", longest):
        made = [queues.sql("SELECT walrelay.create_queue(%s)", [name], user=operator)
                for _ in range(2)]
        assert made == [[(True,)], [(False,)]], name
        enqueue(queues, "w", queue=name)
    assert queues.sql("SELECT walrelay.create_queue('default', mode => 'ack', paused => false,"
                      " per_key => false)", user=operator) == [(False,)]
    assert queues.value("SELECT count(*) FROM walrelay.queue WHERE mode = 'ack'") == 6


@pytest.mark.parametrize("name", [
    None, "", " ", ".", "..", "__x", "a b", "a/b", "a?", "ü", "a\n", "q" * 250])
def test_a_name_that_would_break_urls_or_topics_is_refused(queues, name):
    with pytest.raises(errors.InvalidParameterValue) as caught:
        queues.sql("SELECT walrelay.create_queue(%s)", [name])
    assert "walrelay.create_queue: the name " in caught.value.diag.message_primary
    assert "is not allowed" in caught.value.diag.message_primary
    assert "1 to 249 of the characters A-Z" in caught.value.diag.message_hint
    assert queues.sql("TABLE walrelay.queue") == [("default", "ack")]


@pytest.mark.parametrize("option, what", [
    ("mode => 'lease'", "mode lease"), ("mode => 'managed'", "mode managed"),
    ("mode => 'pull'", "mode pull"), ("max_attempts => 3", "max_attempts"),
    ("lease => '1 min'", "lease"), ("backoff => '1 s'", "backoff"),
    ("backoff_max => '1 h'", "backoff_max"), ("keep => '1 day'", "keep"),
    ("paused => true", "paused"), ("max_in_flight => 1", "max_in_flight"), ("rate => 10", "rate"),
    ("rate_period => '1 s'", "rate_period"), ("per_key => true", "per_key")])
def test_an_option_whose_time_has_not_come_is_refused_by_name(queues, option, what):
    for name in ("mails", "default"):
        with pytest.raises(errors.FeatureNotSupported) as caught:
            queues.sql(f"SELECT walrelay.create_queue('{name}', {option})")
        assert caught.value.diag.message_primary == (
            f"walrelay.create_queue: {what} is not available yet")
    assert queues.sql("TABLE walrelay.queue") == [("default", "ack")]


def test_a_mode_that_does_not_exist_is_refused(queues):
    for mode in ("acks", "", None):
        with pytest.raises(errors.InvalidParameterValue, match="there is no mode"):
            queues.sql("SELECT walrelay.create_queue('mails', %s)", [mode])
