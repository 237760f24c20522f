"""Outbox tables of the user's own making: their keys, types, names and partitions."""

import re

import pytest

from support.events import outbox_to, position
from support.foreign import change_partitions, check, make, maps
from support.parked import wait_set_aside
from support.receiver import Reply
from support.relay import config
from support.wait import stays, until

position_id = r"[0-9A-F]{16}-\d+-\d+"


# Shapes


@pytest.mark.every_major
def test_templates_take_literals_braces_and_several_columns(db, receiver, relay):
    make(db, "jobs", "region text, n int, kind text, customer int, body text, meta jsonb")
    shape = {
        "id": "{region}-{n}",
        "key": "{customer}/{region}",
        "type": "job.{{{kind}}}",
        "payload": "body",
        "headers": "meta",
    }
    relay(maps(db, receiver, "public.jobs", shape)).wait_ready()
    db.sql("""INSERT INTO jobs VALUES ('eu', 7, 'sent', 12, 'b', '{"tenant": "t", "n": 1}')""")
    [request] = receiver.wait_for(1)
    assert request.headers["webhook-id"] == "eu-7"
    assert request.headers["x-walrelay-key"] == "12/eu"
    assert request.headers["x-walrelay-type"] == "job.{sent}"
    assert request.headers["tenant"] == "t" and request.headers["n"] == "1"
    assert request.headers["content-type"] == "text/plain"
    assert request.body == b"b"


@pytest.mark.every_major
def test_every_type_of_payload_arrives_as_postgres_prints_it(db, receiver, relay):
    db.sql("CREATE TYPE mood AS ENUM ('good', 'bäd')")
    db.sql("CREATE TYPE pair AS (a int, b text)")
    db.sql("CREATE DOMAIN short AS varchar(5)")
    as_json, as_bytes, as_text = "application/json", "application/octet-stream", "text/plain"
    cases = [
        ("jsonb", """'{"b": 1.10, "a":  "ü"}'""", '{"a": "ü", "b": 1.10}', as_json),
        ("json", """'{"b": 1.10,  "b": 2}'""", '{"b": 1.10,  "b": 2}', as_json),
        ("text", "E'zwei\\nZeilen \\\\ ü'", "zwei\nZeilen \\ ü", as_text),
        ("varchar(20)", "'{\"no\": json'", '{"no": json', as_text),
        ("char(4)", "'ab'", "ab  ", as_text),
        ("bytea", "'\\x00ff5c0a'", b"\x00\xff\x5c\x0a", as_bytes),
        ("smallint", "-3", "-3", as_text),
        ("bigint", "9223372036854775807", "9223372036854775807", as_text),
        ("numeric", "12345678901234567890.10", "12345678901234567890.10", as_text),
        ("boolean", "true", "t", as_text),
        ("uuid", "'00000000-0000-0000-0000-0000000000AA'",
         "00000000-0000-0000-0000-0000000000aa", as_text),
        ("timestamptz", "'2026-03-01 01:00:00+02'", "2026-02-28 23:00:00+00", as_text),
        ("int[]", "'{1,NULL}'", "{1,NULL}", as_text),
        ("mood", "'bäd'", "bäd", as_text),
        ("pair", "ROW(1, 'x y')", '(1,"x y")', as_text),
        ("short", "'abc'", "abc", as_text),
        ("text", "''", "", as_text),
    ]
    make(db, "typed", "n int, " + ", ".join(f"c{n} {case[0]}" for n, case in enumerate(cases)))
    routes = [
        {
            "from": "public.typed",
            "where": {"n": str(n)},
            "shape": {"id": "{n}", "payload": f"c{n}"},
            "to": "endpoint",
        }
        for n in range(len(cases))
    ]
    settings = maps(db, receiver, "public.typed", {"payload": "n"}, *routes)
    relay(settings).wait_ready()
    for n, (_, value, _, _) in enumerate(cases):
        db.sql(f"INSERT INTO typed (n, c{n}) VALUES ({n}, {value})")
    found = {int(one.headers["webhook-id"]): one for one in receiver.wait_for(len(cases))}
    for n, (name, _, body, content_type) in enumerate(cases):
        wanted = body if isinstance(body, bytes) else body.encode()
        assert (found[n].body, found[n].headers["content-type"]) == (wanted, content_type), name


@pytest.mark.every_major
def test_a_domain_is_what_it_is_made_of(db, receiver, relay):
    db.sql("CREATE DOMAIN document AS jsonb CHECK (VALUE ? 'n')")
    db.sql("CREATE DOMAIN image AS bytea")
    db.sql("CREATE DOMAIN thumbnail AS image")
    make(db, "typed", "n int, d document, i thumbnail")
    routes = [
        {
            "from": "public.typed",
            "where": {"n": "1"},
            "shape": {"id": "{n}", "payload": "d"},
            "to": "endpoint",
        }
    ]
    shape = {"id": "{n}", "payload": "i"}
    relay(maps(db, receiver, "public.typed", shape, *routes)).wait_ready()
    db.sql("""INSERT INTO typed VALUES (1, '{"n": 1}', NULL), (2, NULL, '\\x00ff')""")
    found = {one.headers["webhook-id"]: one for one in receiver.wait_for(2)}
    assert found["1"].headers["content-type"] == "application/json"
    assert found["1"].body == b'{"n": 1}'
    assert found["2"].headers["content-type"] == "application/octet-stream"
    assert found["2"].body == b"\x00\xff"


def test_null_in_key_type_payload_and_headers_is_none_of_them(db, receiver, relay):
    make(db, "loose", "id int, k text, t text, body jsonb, meta jsonb")
    shape = {"id": "{id}", "key": "k-{k}", "type": "{t}", "payload": "body", "headers": "meta"}
    process = relay(maps(db, receiver, "public.loose", shape)).wait_ready()
    db.sql("INSERT INTO loose (id) VALUES (1), (2)")
    for request in receiver.wait_for(2):
        assert request.body == b""
        assert not {"x-walrelay-key", "x-walrelay-type", "content-type"} & set(request.headers)
    process.wait_settled()


def test_a_null_id_halts_by_name(db, receiver, relay):
    make(db, "loose", "id int, body text")
    shape = {"id": "{id}", "payload": "body"}
    settings = maps(db, receiver, "public.loose", shape, on_event_error="halt")
    process = relay(settings).wait_ready()
    db.sql("INSERT INTO loose VALUES (1, 'a'), (NULL, 'b'), (3, 'c')")
    text = process.wait_not_ready("halted on")
    assert "public.loose" in text and "id" in text and "NULL" in text
    assert [one.body for one in receiver.wait_for(1)] == [b"a"]


def test_a_null_id_is_set_aside_by_its_place_in_the_wal(db, receiver, relay):
    make(db, "loose", "id int, body text")
    shape = {"id": "{id}", "payload": "body"}
    process = relay(maps(db, receiver, "public.loose", shape)).wait_ready()
    db.sql("INSERT INTO loose VALUES (1, 'a'), (NULL, 'b'), (3, 'c')")
    assert {one.body for one in receiver.wait_for(2)} == {b"a", b"c"}
    process.wait_settled()
    [row] = db.sql("SELECT source_table, sink, event_id, lsn, error FROM walrelay.parked")
    table, sink, event, lsn, error = row
    assert (table, sink) == ("public.loose", "endpoint") and 'column "id" is NULL' in error, row
    assert event.startswith(f"{position(lsn):016X}-") and event.endswith("-1"), "the second row"


def test_where_matches_the_text_of_any_column_and_never_null(db, receiver, relay):
    make(db, "loose", "id int, amount numeric, urgent bool, body text")
    routes = [
        {
            "from": "public.loose",
            "where": {"amount": ["1??.*", "7"], "urgent": "t"},
            "shape": {"id": "{id}", "payload": "body"},
            "to": "endpoint",
        }
    ]
    settings = maps(db, receiver, "public.loose", {"payload": "body"}, *routes, to="none")
    del settings["routes"][1]["shape"]
    process = relay(settings).wait_ready()
    db.sql(
        "INSERT INTO loose VALUES (1, 100.5, true), (2, 7, true), (3, 99.5, true),"
        " (4, 100.5, false), (5, NULL, true), (6, 7, NULL), (7, 123.00, true)"
    )
    # Without a key no order is kept.
    assert sorted(one.headers["webhook-id"] for one in receiver.wait_for(3)) == ["1", "2", "7"]
    until(lambda: process.status()["discarded"] == 4, what="the others are counted")


def test_a_topic_from_a_row_must_be_on_the_list(db, broker, relay):
    topic = broker.create_topic()
    make(db, "jobs", "id int, topic text, body text")
    settings = config(
        db,
        {"events": {"kafka": {"brokers": broker.bootstrap}}},
        [
            {
                "from": "public.jobs",
                "shape": {"id": "{id}", "key": "{id}", "payload": "body"},
                "topic": "{topic}",
                "topics": ["topic-*"],
                "to": "events",
            },
            outbox_to("none"),
        ],
    )
    process = relay(settings).wait_ready()
    db.sql("INSERT INTO jobs VALUES (1, %s, 'x')", [topic])
    [record] = broker.consume(topic, 1)
    assert (record.key, record.value, record.header("id")) == (b"1", b"x", "1")
    db.sql("INSERT INTO jobs VALUES (2, 'payments', 'x')")
    row = wait_set_aside(db, "2")
    assert (row["source_table"], row["sink"], row["state"]) == ("public.jobs", "events", "parked")
    assert "topics" in row["error"] and "payments" in row["error"], row
    assert "payments" not in broker.admin().list_topics().topics


# Keys and ids


@pytest.mark.every_major
def test_a_composite_key_makes_id_and_key(db, receiver, relay):
    make(db, "lines", "ord int, line int, body text, PRIMARY KEY (ord, line)")
    shape = {"id": "{ord}.{line}", "key": "{ord}", "payload": "body"}
    relay(maps(db, receiver, "public.lines", shape)).wait_ready()
    db.sql("INSERT INTO lines SELECT o, l, o || ':' || l"
           " FROM generate_series(1, 5) o, generate_series(1, 4) l")
    found = {}
    for request in receiver.wait_for(20):
        key, event = request.headers["x-walrelay-key"], request.headers["webhook-id"]
        found.setdefault(key, []).append(event)
    assert found == {str(o): [f"{o}.{l}" for l in range(1, 5)] for o in range(1, 6)}


@pytest.mark.every_major
def test_a_table_without_any_key_gets_ids_that_stay_the_same_after_kill_9(db, receiver, relay):
    make(db, "bare", "body text")
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(maps(db, receiver, "public.bare", {"payload": "body"})).wait_ready()
    for first in (1, 4):
        db.sql("INSERT INTO bare SELECT n::text FROM generate_series(%s, %s + 2) n", [first] * 2)
    sent = {one.body: one.headers["webhook-id"] for one in receiver.wait_for(6)}
    process.kill9()
    gate.open()
    receiver.answer(Reply())
    process.start()
    again = receiver.wait_for(12)[6:]
    assert {one.body: one.headers["webhook-id"] for one in again} == sent
    assert len(set(sent.values())) == 6
    for number in range(1, 7):
        assert re.fullmatch(position_id, sent[b"%d" % number]), sent
        assert sent[b"%d" % number].endswith(f"-{(number - 1) % 3}")
    assert len({one.rpartition("-")[0] for one in sent.values()}) == 2, "one a transaction"


@pytest.mark.every_major
def test_rows_of_copy_and_of_upserts_arrive_once(db, receiver, relay):
    make(db, "jobs", "id int PRIMARY KEY, body text")
    shape = {"id": "{id}", "payload": "body"}
    process = relay(maps(db, receiver, "public.jobs", shape)).wait_ready()
    db.psql(script="COPY jobs FROM stdin;\n1\ta\n2\t\\N\n3\tx\\ty\n\\.\n")
    for _ in range(2):
        db.sql("INSERT INTO jobs VALUES (4, 'new') ON CONFLICT (id) DO UPDATE SET body = 'again'")
    db.sql("INSERT INTO jobs VALUES (5, repeat('x', 900000))")
    bodies = {one.headers["webhook-id"]: one.body for one in receiver.wait_for(5)}
    process.wait_settled()
    assert bodies == {"1": b"a", "2": b"", "3": b"x\ty", "4": b"new", "5": b"x" * 900000}
    assert len(receiver.requests) == 5


# Names


@pytest.mark.every_major
def test_names_with_capitals_blanks_umlauts_and_full_length_work(db, receiver, relay):
    schema, table, column = "Größe & Co", "Müll.Ausgang", "Ä" * 31 + "s"
    db.sql(f'CREATE SCHEMA "{schema}"')
    make(db, f'"{schema}"."{table}"', f'"Id" int, "{column}" json, "a""b" text, "x y" text')
    shape = {"id": "{Id}", "key": '{a"b}', "type": "{x y}", "payload": column}
    settings = maps(db, receiver, f'"{schema}"."{table}"', shape)
    process = relay(settings).wait_ready()
    db.sql(f"""INSERT INTO "{schema}"."{table}" VALUES (1, '[1]', 'k', 't')""")
    [request] = receiver.wait_for(1)
    assert request.body == b"[1]" and request.headers["webhook-id"] == "1"
    assert request.headers["x-walrelay-key"] == "k"
    assert request.headers["x-walrelay-type"] == "t"
    counter = f'walrelay_events_received_total{{table="{schema}.{table}"}}'
    assert process.metrics()[counter] == 1


def test_a_name_in_another_case_is_another_table(db, receiver, relay):
    make(db, '"Jobs"', "id int, body text")
    process = relay(maps(db, receiver, "public.jobs", {"payload": "body"}), start=False).start()
    assert process.wait_exit() == 2
    assert "Jobs" in process.log()


# Partitions


@pytest.mark.every_major
def test_partitions_of_partitions_arrive_under_the_name_of_the_root(db, receiver, relay):
    make(
        db,
        "tree",
        "id int, region text, made date) PARTITION BY LIST (region",
        "CREATE TABLE tree_eu PARTITION OF tree FOR VALUES IN ('eu') PARTITION BY RANGE (made)",
        "CREATE TABLE tree_eu_26 PARTITION OF tree_eu FOR VALUES FROM ('2026-01-01')"
        " TO ('2027-01-01')",
        "CREATE TABLE tree_us PARTITION OF tree FOR VALUES IN ('us')",
    )
    shape = {"id": "{id}", "key": "{region}", "payload": "made"}
    process = relay(maps(db, receiver, "public.tree", shape)).wait_ready()
    db.sql("INSERT INTO tree VALUES (1, 'eu', '2026-02-03'), (2, 'us', '2020-01-01')")
    db.sql("INSERT INTO tree_eu VALUES (3, 'eu', '2026-02-03')")
    db.sql("INSERT INTO tree_eu_26 VALUES (4, 'eu', '2026-02-03')")
    # A leaf that had rows and other column numbers of its own before it was attached.
    db.sql("CREATE TABLE late (made date, gone int, region text, id int)")
    db.sql("INSERT INTO late VALUES ('2027-01-01', 0, 'eu', 99)")
    db.sql("ALTER TABLE late DROP COLUMN gone")
    change_partitions(
        db,
        "ALTER TABLE tree_eu ATTACH PARTITION late FOR VALUES FROM ('2027-01-01')"
        " TO ('2028-01-01')",
    )
    db.sql("INSERT INTO tree VALUES (5, 'eu', '2027-02-03')")
    found = sorted(one.headers["webhook-id"] for one in receiver.wait_for(5))
    process.wait_settled()
    assert found == ["1", "2", "3", "4", "5"]
    assert len(receiver.requests) == 5, "rows from before the attachment are no inserts"


@pytest.mark.every_major
def test_without_publish_via_partition_root_a_partitioned_table_is_refused_by_name(
    db, receiver, relay, tmp_path
):
    make(
        db,
        "tree",
        "id int) PARTITION BY RANGE (id",
        "CREATE TABLE leaf PARTITION OF tree FOR VALUES FROM (0) TO (100)",
    )
    db.sql(f"ALTER PUBLICATION {db.publication} SET (publish_via_partition_root = false)")
    settings = maps(db, receiver, "public.tree", {"payload": "id"})
    process = relay(settings, start=False).start()
    assert process.wait_exit() == 2
    assert "publish_via_partition_root" in process.log(), process.log()
    code, found = check(settings, tmp_path)
    assert code == 2
    [said] = [text for severity, text in found if severity == "stops"]
    assert "publish_via_partition_root = true" in said and db.publication in said


def test_when_publish_via_partition_root_is_switched_off_live_nothing_is_lost_silently(
    db, receiver, relay
):
    make(
        db,
        "tree",
        "id int) PARTITION BY RANGE (id",
        "CREATE TABLE leaf PARTITION OF tree FOR VALUES FROM (0) TO (100)",
    )
    shape = {"id": "{id}", "payload": "id"}
    settings = maps(db, receiver, "public.tree", shape)
    process = relay(settings).wait_ready()
    db.sql("INSERT INTO tree VALUES (1)")
    receiver.wait_for(1)
    db.sql(f"ALTER PUBLICATION {db.publication} SET (publish_via_partition_root = false)")
    db.sql("INSERT INTO tree VALUES (2)")
    process.wait_not_ready("halted on table public.leaf.*no route")
    db.sql(f"ALTER PUBLICATION {db.publication} SET (publish_via_partition_root = true)")
    db.sql("INSERT INTO tree VALUES (3)")
    assert process.stop() == 0
    # The row that came under the leaf's name needs a route for that name, for once.
    leaf = {**settings["routes"][0], "from": "public.leaf"}
    process.configure({**settings, "routes": [leaf, *settings["routes"]]})
    process.start()
    assert sorted(one.headers["webhook-id"] for one in receiver.wait_for(3)) == ["1", "2", "3"]
    process.wait_not_ready("public.leaf: a route names it, but no publication")


# What a publication leaves out


@pytest.fixture
def filters(cluster):
    """Column lists and row filters came with PostgreSQL 15."""
    if cluster.value("SHOW server_version_num") < "150000":
        pytest.fail("this test needs PostgreSQL 15 or newer")


def publish_part(database, table, part):
    database.sql(f"ALTER PUBLICATION {database.publication} ADD TABLE {table} {part}")


@pytest.mark.usefixtures("filters")
def test_a_column_list_that_leaves_out_a_used_column_is_named_and_nothing_is_lost(
    db, receiver, relay, tmp_path
):
    db.sql("CREATE TABLE jobs (id int, customer int, body text)")
    publish_part(db, "jobs", "(id, body)")
    shape = {"id": "{id}", "key": "{customer}", "payload": "body"}
    settings = maps(db, receiver, "public.jobs", shape)
    code, found = check(settings, tmp_path)
    assert code == 2
    [said] = [text for severity, text in found if severity == "stops"]
    assert "public.jobs" in said and "column list" in said and "customer" in said
    process = relay(settings)
    db.sql("INSERT INTO jobs VALUES (1, 7, 'x')")
    process.wait_log('table public.jobs: column "customer" .used as key by the route at .*:')
    assert not process.ready() and receiver.requests == []


@pytest.mark.usefixtures("filters")
def test_a_column_list_with_all_that_is_used_works_and_a_row_filter_is_warned_about(
    db, receiver, relay, tmp_path
):
    db.sql("CREATE TABLE jobs (id int, secret text, body text)")
    publish_part(db, "jobs", "(body, id) WHERE (id > 10)")
    settings = maps(db, receiver, "public.jobs", {"id": "{id}", "payload": "body"})
    code, found = check(settings, tmp_path)
    assert code == 0
    assert any("row filter" in text for severity, text in found if severity == "warns")
    process = relay(settings).wait_ready()
    db.sql("INSERT INTO jobs VALUES (10, 's', 'a'), (11, 's', 'b')")
    receiver.wait_for(1)
    process.wait_settled()
    assert [one.body for one in receiver.requests] == [b"b"]


@pytest.mark.every_major
def test_a_generated_column_that_is_not_sent_is_named(db, receiver, relay, tmp_path):
    make(db, "jobs", "id int, body text GENERATED ALWAYS AS ('n' || id) STORED")
    settings = maps(db, receiver, "public.jobs", {"id": "{id}", "payload": "body"})
    code, found = check(settings, tmp_path)
    assert code == 2, found
    [said] = [text for severity, text in found if severity == "stops"]
    assert "public.jobs" in said and "body" in said and "generated" in said
    process = relay(settings)
    db.sql("INSERT INTO jobs VALUES (1)")
    process.wait_log('table public.jobs: column "body"')
    assert not process.ready() and receiver.requests == []


def test_a_generated_column_that_is_sent_works(new_cluster, new_db, receiver, relay, tmp_path):
    db = new_db(new_cluster(version=18))
    make(db, "jobs", "id int, body text GENERATED ALWAYS AS ('n' || id) STORED")
    db.sql(f"ALTER PUBLICATION {db.publication} SET (publish_generated_columns = stored)")
    settings = maps(db, receiver, "public.jobs", {"id": "{id}", "payload": "body"})
    code, found = check(settings, tmp_path)
    assert code == 0, found
    relay(settings).wait_ready()
    db.sql("INSERT INTO jobs VALUES (1)")
    assert [one.body for one in receiver.wait_for(1)] == [b"n1"]


def test_a_table_that_is_made_later_in_a_published_schema_halts_by_name(db, receiver, relay):
    db.sql("CREATE SCHEMA shop")
    make(db, "shop.jobs", "id int, body text")
    db.sql(f"ALTER PUBLICATION {db.publication} DROP TABLE shop.jobs")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLES IN SCHEMA shop")
    process = relay(maps(db, receiver, "shop.jobs", {"payload": "body"})).wait_ready()
    db.sql("INSERT INTO shop.jobs VALUES (1, 'a')")
    receiver.wait_for(1)
    db.sql("CREATE TABLE shop.later (id int)")
    db.sql("INSERT INTO shop.later VALUES (1)")
    process.wait_not_ready("halted on table shop.later.*no route takes it")
    stays(lambda: len(receiver.requests) == 1, 0.5, "nothing more is sent")
