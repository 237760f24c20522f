"""walrelay.redrive(), drop_parked(), pause(), resume() and prune(), called by hand."""

import pathlib

import pytest
from psycopg2 import errors

from support.parked import marks, park

old_table = pathlib.Path(__file__).with_name("fixtures") / "parked_before_lanes.sql"


@pytest.fixture
def shop(db, role):
    """A database with the schema, and a role that may what the relay's role may."""
    db.operator = role("IN ROLE walrelay_relay")
    return db


def call(database, statement, *parameters):
    return database.sql(f"SELECT walrelay.{statement}", list(parameters),
                        user=database.operator)[0][0]


@pytest.mark.every_major
def test_marks_name_the_rows_that_wait_by_slot_and_who_wished_it(shop):
    parked, held = park(shop), park(shop, "0/20", "held")
    gone = park(shop, "0/30", "delivered"), park(shop, "0/40", "dropped")
    elsewhere = park(shop, "0/50", slot="another")
    copied = park(shop, "0/60", server=42)
    ids = [held, parked, *gone, elsewhere, copied, 0, parked]
    assert call(shop, "redrive(%s)", ids) == 3
    assert call(shop, "drop_parked(%s)", [parked]) == 1
    assert call(shop, "drop_parked(%s)", [gone[0], 12345]) == 0
    assert marks(shop) == [("redrive", "another", None, [elsewhere]),
                           ("redrive", shop.slot, None, [parked, held]),
                           ("drop", shop.slot, None, [parked])]
    assert shop.sql("SELECT DISTINCT by FROM walrelay.redrive") == [(shop.operator,)]
    # What becomes of a row is written by the relay that reads the mark.
    assert shop.value("SELECT string_agg(state, ' ' ORDER BY id) FROM walrelay.parked") == \
        "parked held delivered dropped parked parked"


def test_a_mark_names_at_most_a_thousand_rows(shop):
    first = park(shop)
    shop.sql("INSERT INTO walrelay.parked OVERRIDING SYSTEM VALUE SELECT (made.r).*"
             " FROM (SELECT jsonb_populate_record(p, jsonb_build_object('id', p.id + i,"
             " 'ordinal', i)) AS r FROM walrelay.parked p, generate_series(1, 2000) i) made")
    ids = list(range(first, first + 2001))
    assert call(shop, "redrive(%s)", ids) == 2001
    assert [len(named) for *_, named in marks(shop)] == [1000, 1000, 1]
    assert sorted(one for *_, named in marks(shop) for one in named) == ids


@pytest.mark.every_major
def test_pause_and_resume_leave_a_mark_each(shop):
    call(shop, "pause(%s, %s)", shop.slot, "hooks")
    call(shop, "resume(%s, %s)", shop.slot, "hooks")
    assert marks(shop) == [("pause", shop.slot, "hooks", None),
                           ("resume", shop.slot, "hooks", None)]


@pytest.mark.parametrize("statement, text", [
    ("redrive(NULL)", "walrelay.redrive: ids must not be NULL"),
    ("drop_parked(NULL)", "walrelay.drop_parked: ids must not be NULL"),
    ("pause('s', '')", "walrelay.pause: slot and sink must not be NULL or empty"),
    ("pause(NULL, 'x')", "walrelay.pause: slot and sink must not be NULL or empty"),
    ("resume('', 'x')", "walrelay.resume: slot and sink must not be NULL or empty"),
    ("prune(0)", "walrelay.prune: most must be at least 1"),
    ("prune(NULL)", "walrelay.prune: most must be at least 1"),
    ("prune(1, NULL)", "walrelay.prune: most must be at least 1, and keep not negative"),
    ("prune(1, interval '-1 day')", "walrelay.prune: most must be at least 1, and keep not"),
])
def test_a_wrong_argument_is_named(shop, statement, text):
    with pytest.raises(errors.InvalidParameterValue) as caught:
        call(shop, statement)
    assert text in str(caught.value)


@pytest.mark.every_major
def test_prune_keeps_what_waits_what_is_new_and_what_may_be_read_again(shop):
    shop.sql("INSERT INTO walrelay.progress (slot, safe_lsn, epoch, system_identifier, timeline)"
             " SELECT %s, '0/100', 1, system_identifier, 1 FROM pg_control_system()", [shop.slot])
    old = "8 days"
    kept = [park(shop, "0/10", "parked", age=old), park(shop, "0/20", "held", age=old),
            park(shop, "0/30", "delivered", age="6 days"),
            park(shop, "0/100", "delivered", age=old), park(shop, "0/200", "dropped", age=old),
            park(shop, "0/40", "delivered", age=old, slot="without a record"),
            park(shop, "0/50", "delivered", age=old, server=42)]
    for lsn in ("0/60", "0/70", "0/80"):
        park(shop, lsn, "delivered" if lsn == "0/60" else "dropped", age=old)
    assert call(shop, "prune(2)") == 2
    assert call(shop, "prune()") == 1
    assert call(shop, "prune()") == 0
    assert [row for [row] in shop.sql("SELECT id FROM walrelay.parked ORDER BY id")] == kept


def test_prune_keeps_the_newest_word_on_each_sink(shop):
    call(shop, "redrive(%s)", [park(shop)])
    for sink in ("a", "b"):
        call(shop, "pause(%s, %s)", shop.slot, sink)
    call(shop, "resume(%s, %s)", shop.slot, "a")
    assert call(shop, "prune()") == 0
    shop.sql("UPDATE walrelay.redrive SET at = at - interval '8 days'")
    call(shop, "redrive(%s)", [park(shop, "0/20")])
    assert call(shop, "prune()") == 2
    assert [(action, sink) for action, _, sink, _ in marks(shop)] == [
        ("pause", "b"), ("resume", "a"), ("redrive", None)]


def test_only_marks_travel_and_each_is_an_insert(shop):
    """Nothing is asked of a replica identity, and what the relay writes doesn't come back."""
    call(shop, "redrive(%s)", [park(shop)])
    shop.sql("UPDATE walrelay.parked SET state = 'held'")
    kinds = [bytes(data)[:1] for [data] in shop.sql(
        "SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1',"
        " 'publication_names', %s)", [shop.slot, shop.publication])]
    assert kinds.count(b"I") == 1 and b"U" not in kinds


@pytest.mark.every_major
def test_an_older_table_gets_what_it_lacks_and_keeps_its_rows(shop):
    def form():
        return shop.sql("SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text"
                        " FROM pg_attribute a WHERE a.attrelid = 'walrelay.parked'::regclass"
                        " AND a.attnum > 0 UNION ALL SELECT i.indexrelid::regclass::text,"
                        " pg_get_indexdef(i.indexrelid), i.indisvalid::text FROM pg_index i"
                        " WHERE i.indrelid = 'walrelay.parked'::regclass ORDER BY 1")

    complete = form()
    shop.sql("DROP TABLE walrelay.parked")
    shop.psql("-f", str(old_table))
    held = park(shop, state="held", holds_key=True)
    for _ in range(2):
        shop.install_schema()
        assert form() == complete
    assert shop.sql("SELECT id, state, put_epoch FROM walrelay.parked") == [(held, "held", None)]
    assert call(shop, "redrive(%s)", [held]) == 1
