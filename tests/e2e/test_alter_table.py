"""Tables that are altered while rows of them wait: each row is mapped with the shape that it had.

What the routes can't map any more halts by name, and is delivered once the map is mended.
"""

import contextlib
import re

import pytest

from support.events import position
from support.foreign import change_partitions, make, maps
from support.wait import stays, until

columns = "id int, customer int, kind text, body text, spare int DEFAULT 0"
shape = {"id": "{id}", "key": "{customer}", "type": "{kind}", "payload": "body"}
insert = "INSERT INTO jobs (id, customer, kind, body) VALUES (%s, 7, 'k', %s)"


def ids(receiver):
    return [request.headers["webhook-id"] for request in receiver.requests]


def halts(process, database, receiver, *said):
    """The relay halts with all of this in its readiness and its log; nothing behind is sent."""
    text = process.wait_not_ready("halted on")
    for part in said:
        assert part in text, text
    [halted] = [line for line in text.splitlines() if line.startswith("halted on")]
    process.wait_log(re.escape(halted))
    def at_rest():  # what stands before it is delivered
        [sink] = process.status()["sinks"]
        return sink["in_flight"] == sink["waiting"] == 0

    until(at_rest, what=process.status)
    sent = len(receiver.requests)
    stays(lambda: len(receiver.requests) == sent and process.running(), 0.3, "nothing more is sent")
    lsn = re.search(r"LSN ([0-9A-F]+/[0-9A-F]+)", text)[1]
    assert database.slot_state()[1] <= position(lsn), "it isn't acknowledged"
    return text


def goes_on(process, settings):
    """With the mended map, from where it halted."""
    assert process.stop() == 0
    process.configure(settings)
    process.start(wait=True)


harmless = {
    "add": "ALTER TABLE jobs ADD COLUMN note text DEFAULT 'x' NOT NULL",
    "add in front of the others": "ALTER TABLE jobs DROP spare, ADD COLUMN spare text",
    "drop": "ALTER TABLE jobs DROP COLUMN spare",
    "rename": "ALTER TABLE jobs RENAME spare TO extra",
    "retype": "ALTER TABLE jobs ALTER spare TYPE text",
    "key to bigint": "ALTER TABLE jobs ALTER customer TYPE bigint",
    "key to text": "ALTER TABLE jobs ALTER customer TYPE text",
    "not null": "ALTER TABLE jobs ALTER body SET NOT NULL",
    "primary key": "ALTER TABLE jobs ADD PRIMARY KEY (id)",
    "truncate": "TRUNCATE jobs",
    "rewrite": "VACUUM FULL jobs",
}


@pytest.mark.every_major
@pytest.mark.parametrize("reading", ["live", "afterwards"])
def test_changes_that_leave_the_route_its_columns_are_not_noticed(reading, db, receiver, relay):
    make(db, "jobs", columns)
    process = relay(maps(db, receiver, "public.jobs", shape), start=reading == "live")
    if reading == "live":
        process.wait_ready()
    for number, (name, statement) in enumerate(harmless.items()):
        db.sql(insert, [2 * number, name])
        if name in ("drop", "rename", "retype"):
            db.sql("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS spare int")
        db.sql(statement)
        db.sql(insert, [2 * number + 1, name])
    if reading != "live":
        process.start(wait=True)
    receiver.wait_for(2 * len(harmless))
    process.wait_settled()
    assert ids(receiver) == [str(number) for number in range(2 * len(harmless))]
    for number, request in enumerate(receiver.requests):
        assert request.body.decode() == list(harmless)[number // 2]
        assert request.headers["x-walrelay-key"] == "7"
        assert request.headers["x-walrelay-type"] == "k"


@pytest.mark.every_major
@pytest.mark.parametrize("reading", ["live", "afterwards"])
def test_a_payload_of_another_type_is_sent_as_it_was_when_it_was_written(
    reading, db, receiver, relay
):
    make(db, "jobs", columns)
    process = relay(maps(db, receiver, "public.jobs", shape), start=reading == "live")
    if reading == "live":
        process.wait_ready()
    steps = [
        (None, '{"b":1,  "a":2}', b'{"b":1,  "a":2}', "text/plain"),
        ("jsonb USING body::jsonb", '{"b":1,  "a":2}', b'{"a": 2, "b": 1}', "application/json"),
        ("json", '{"b":1,  "a":2}', b'{"b":1,  "a":2}', "application/json"),
        ("bytea USING '\\x00'", "\\x00ff", b"\x00\xff", "application/octet-stream"),
        ("text USING 'was bytes'", "\\x00ff", b"\\x00ff", "text/plain"),
        ("int USING 0", "12", b"12", "text/plain"),
    ]
    for number, (kind, value, _, _) in enumerate(steps):
        if kind:
            db.sql(f"ALTER TABLE jobs ALTER body TYPE {kind}")
        db.sql(insert, [number, value])
    if reading != "live":
        process.start(wait=True)
    requests = receiver.wait_for(len(steps))
    for request, (_, _, body, content_type) in zip(requests, steps):
        assert (request.body, request.headers["content-type"]) == (body, content_type)


@pytest.mark.every_major
def test_a_table_that_is_altered_between_the_rows_of_one_transaction_maps_each_row(
    db, receiver, relay
):
    make(db, "jobs", columns)
    relay(maps(db, receiver, "public.jobs", shape)).wait_ready()
    with contextlib.closing(db.conn(autocommit=False)) as connection:
        cursor = connection.cursor()
        cursor.execute(insert, [1, "a"])
        cursor.execute("ALTER TABLE jobs RENAME spare TO extra")
        cursor.execute("ALTER TABLE jobs ADD COLUMN more text")
        cursor.execute(insert, [2, "b"])
        cursor.execute("SAVEPOINT s")
        cursor.execute("ALTER TABLE jobs DROP COLUMN body")
        cursor.execute("ROLLBACK TO SAVEPOINT s")
        cursor.execute("ALTER TABLE jobs ALTER body TYPE jsonb USING '3'")
        cursor.execute(insert, [3, "[3]"])
        connection.commit()
    requests = receiver.wait_for(3)
    assert [request.body for request in requests] == [b"a", b"b", b"[3]"]
    assert requests[2].headers["content-type"] == "application/json"


@pytest.mark.every_major
@pytest.mark.parametrize("reading", ["live", "afterwards"])
def test_a_used_column_that_is_renamed_halts_by_name_and_a_corrected_map_delivers_the_rest(
    reading, db, receiver, relay
):
    make(db, "jobs", columns)
    settings = maps(db, receiver, "public.jobs", shape)
    process = relay(settings, start=reading == "live")
    db.sql(insert, [1, "before"])
    if reading == "live":
        process.wait_ready()
        receiver.wait_for(1)
    db.sql("ALTER TABLE jobs RENAME body TO content")
    after = insert.replace("body", "content")
    for number in (2, 3):
        db.sql(after, [number, "after"])
    if reading != "live":
        process.start()
    text = halts(process, db, receiver, "table public.jobs", 'column "body"', "payload")
    assert re.search(r"walrelay\.yaml:\d+:\d+", text), "the route is named"
    assert "content" in text, "the columns that are there are shown"
    until(lambda: ids(receiver) == ["1"], what="what comes before it in the stream is delivered")
    goes_on(process, maps(db, receiver, "public.jobs", {**shape, "payload": "content"}))
    receiver.wait_for(3)
    process.wait_settled()
    assert [(one.headers["webhook-id"], one.body) for one in receiver.requests] == [
        ("1", b"before"),
        ("2", b"after"),
        ("3", b"after"),
    ]


@pytest.mark.every_major
def test_a_used_column_that_is_dropped_halts_by_name_and_a_corrected_map_delivers_the_rest(
    db, receiver, relay
):
    make(db, "jobs", columns)
    process = relay(maps(db, receiver, "public.jobs", shape)).wait_ready()
    db.sql(insert, [1, "before"])
    receiver.wait_for(1)
    db.sql("ALTER TABLE jobs DROP customer, DROP kind")
    db.sql("INSERT INTO jobs (id, body) VALUES (2, 'after')")
    halts(
        process, db, receiver, "table public.jobs", 'column "customer"', "key", 'column "kind"'
    )
    goes_on(process, maps(db, receiver, "public.jobs", {"id": "{id}", "payload": "body"}))
    receiver.wait_for(2)
    assert ids(receiver) == ["1", "2"]


def test_a_column_that_is_renamed_and_back_again_needs_both_maps_in_turn(db, receiver, relay):
    make(db, "jobs", columns)
    old = maps(db, receiver, "public.jobs", shape)
    new = maps(db, receiver, "public.jobs", {**shape, "key": "{client}"})
    process = relay(old).wait_ready()
    db.sql(insert, [1, "old"])
    receiver.wait_for(1)
    db.sql("ALTER TABLE jobs RENAME customer TO client")
    db.sql(insert.replace("customer", "client"), [2, "new"])
    db.sql("ALTER TABLE jobs RENAME client TO customer")
    db.sql(insert, [3, "old"])
    halts(process, db, receiver, 'column "customer"')
    goes_on_until_halt(process, new)
    halts(process, db, receiver, 'column "client"')
    until(lambda: ids(receiver) == ["1", "2"], what="what comes before it is delivered")
    goes_on(process, old)
    receiver.wait_for(3)
    assert ids(receiver) == ["1", "2", "3"]
    assert {request.headers["x-walrelay-key"] for request in receiver.requests} == {"7"}


def goes_on_until_halt(process, settings):
    assert process.stop() == 0
    process.configure(settings)
    process.start()


def test_after_kill_9_rows_from_before_the_change_are_mapped_as_they_were(db, receiver, relay):
    make(db, "jobs", columns)
    gate = receiver.gate()
    process = relay(maps(db, receiver, "public.jobs", shape)).wait_ready()
    db.sql(insert, [1, "x"])
    receiver.wait_for(1)
    process.wait_settled()
    process.kill9()
    db.sql(insert, [2, "y"])
    db.sql("ALTER TABLE jobs ALTER body TYPE bytea USING '\\x00'")
    db.sql("ALTER TABLE jobs DROP spare")
    db.sql(insert, [3, "\\x0aff"])
    gate.open()
    process.start(wait=True)
    receiver.wait_for(3)
    assert [request.body for request in receiver.requests][-2:] == [b"y", b"\x0a\xff"]


@pytest.mark.every_major
def test_a_table_that_is_renamed_halts_by_its_new_name_and_a_route_for_it_delivers_the_rest(
    db, receiver, relay
):
    make(db, "jobs", columns)
    settings = maps(db, receiver, "public.jobs", shape)
    process = relay(settings).wait_ready()
    db.sql(insert, [1, "before"])
    receiver.wait_for(1)
    db.sql("ALTER TABLE jobs RENAME TO work")
    db.sql(insert.replace("jobs", "work"), [2, "after"])
    halts(process, db, receiver, "table public.work", "id ", "no route takes it")
    goes_on(process, maps(db, receiver, "public.work", shape))
    receiver.wait_for(2)
    assert ids(receiver) == ["1", "2"]


def test_a_row_of_a_table_that_was_renamed_for_a_while_can_be_delivered_or_stepped_over(
    db, receiver, relay
):
    make(db, "jobs", columns)
    settings = maps(db, receiver, "public.jobs", shape)
    process = relay(settings).wait_ready()
    db.sql("ALTER TABLE jobs RENAME TO work")
    db.sql(insert.replace("jobs", "work"), [1, "between"])
    db.sql("ALTER TABLE work RENAME TO jobs")
    db.sql(insert, [2, "after"])
    halts(process, db, receiver, "table public.work", "no route takes it")
    also = {**settings["routes"][0], "from": "public.work"}
    goes_on_until_halt(process, maps(db, receiver, "public.jobs", shape, also))
    receiver.wait_for(2)
    assert ids(receiver) == ["1", "2"]
    process.wait_not_ready("public.work: a route names it, but no publication")
    process.wait_settled()
    goes_on(process, settings)


def test_a_row_of_a_table_that_was_dropped_since_can_be_stepped_over(db, receiver, relay):
    make(db, "jobs", columns)
    make(db, "strange", "id int")
    settings = maps(db, receiver, "public.jobs", shape)
    db.sql(f"ALTER PUBLICATION {db.publication} DROP TABLE strange")
    process = relay(settings).wait_ready()
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE strange")
    db.sql("INSERT INTO strange VALUES (1)")
    db.sql("DROP TABLE strange")
    db.sql(insert, [2, "after"])
    halts(process, db, receiver, "table public.strange", "no route takes it", "to: none")
    over = {"from": "public.strange", "to": "none"}
    goes_on(process, maps(db, receiver, "public.jobs", shape, over))
    receiver.wait_for(1)
    assert ids(receiver) == ["2"]


def test_a_table_that_is_taken_out_of_the_publication_is_named_within_seconds(
    db, receiver, relay
):
    make(db, "jobs", columns)
    process = relay(maps(db, receiver, "public.jobs", shape)).wait_ready()
    db.sql(insert, [1, "x"])
    receiver.wait_for(1)
    db.sql("DROP TABLE jobs")
    db.sql(f"CREATE TABLE jobs ({columns})")
    db.sql(insert, [2, "not published"])
    said = "table public.jobs: a route names it, but no publication"

    def named():
        db.sql("SELECT walrelay.emit('t', '{}')")  # it looks again once the WAL has moved
        return said in process.get("/readyz")[1] and process.get("/readyz")[0] == 503

    until(named, 25, "readiness names it", every=0.5)
    process.wait_log(re.escape(said))
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE jobs")
    db.sql(insert, [3, "published"])
    receiver.wait_for(2)
    assert ids(receiver) == ["1", "3"]


def test_a_table_of_a_published_schema_may_be_made_anew(db, receiver, relay):
    if db.value("SHOW server_version_num") < "150000":
        pytest.fail("this test needs PostgreSQL 15 or newer")
    db.sql("CREATE SCHEMA shop")
    db.sql(f"CREATE TABLE shop.jobs ({columns})")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLES IN SCHEMA shop")
    relay(maps(db, receiver, "shop.jobs", shape)).wait_ready()
    into = insert.replace("jobs", "shop.jobs")
    db.sql(into, [1, "old"])
    db.sql("DROP TABLE shop.jobs")
    db.sql("CREATE TABLE shop.jobs (body jsonb, kind text, id int, customer text)")
    db.sql(into, [2, "[2]"])
    requests = receiver.wait_for(2)
    assert [request.body for request in requests] == [b"old", b"[2]"]
    assert requests[1].headers["content-type"] == "application/json"


@pytest.mark.every_major
def test_partitions_come_and_go_while_the_root_goes_on(db, receiver, relay):
    make(
        db,
        "tree",
        "id int, body text) PARTITION BY RANGE (id",
        "CREATE TABLE low PARTITION OF tree FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE high PARTITION OF tree FOR VALUES FROM (100) TO (200)",
    )
    mapped = {"id": "{id}", "payload": "body"}
    process = relay(maps(db, receiver, "public.tree", mapped)).wait_ready()
    db.sql("INSERT INTO tree VALUES (1, 'a'), (101, 'b')")
    change_partitions(db, "ALTER TABLE tree DETACH PARTITION low")
    db.sql("INSERT INTO low VALUES (2, 'on its own: not an event')")
    db.sql("INSERT INTO tree VALUES (102, 'c')")
    change_partitions(db, "ALTER TABLE tree ATTACH PARTITION low FOR VALUES FROM (0) TO (100)")
    db.sql("INSERT INTO tree VALUES (3, 'd')")
    db.sql("ALTER TABLE tree ADD COLUMN more int")
    db.sql("INSERT INTO low VALUES (4, 'e')")
    db.sql("DROP TABLE high")
    db.sql("INSERT INTO tree VALUES (5, 'f')")
    receiver.wait_for(6)
    process.wait_settled()
    # Without a key no order is kept.
    assert sorted(ids(receiver), key=int) == ["1", "3", "4", "5", "101", "102"]
    assert process.ready()


def test_a_column_list_that_loses_a_used_column_live_halts_by_name(db, receiver, relay):
    if db.value("SHOW server_version_num") < "150000":
        pytest.fail("this test needs PostgreSQL 15 or newer")
    make(db, "jobs", columns)
    process = relay(maps(db, receiver, "public.jobs", shape)).wait_ready()
    db.sql(insert, [1, "x"])
    receiver.wait_for(1)
    alter = f"ALTER PUBLICATION {db.publication} SET TABLE walrelay.outbox, jobs"
    db.sql(f"{alter} (id, body)")
    db.sql(insert, [2, "y"])
    db.sql(alter)
    db.sql(insert, [3, "z"])
    halts(process, db, receiver, "table public.jobs", 'column "customer"', 'column "kind"')
    both = {"id": "{id}", "payload": "body"}
    goes_on(process, maps(db, receiver, "public.jobs", both))
    receiver.wait_for(3)
    assert sorted(ids(receiver)) == ["1", "2", "3"]
