"""walrelay parked, pause and resume, and status, on rows that are written here: no relay runs."""

import json
import os

import pytest

from support.parked import insert_message, marks, park, relation_message
from support.relay import config, run_command


@pytest.fixture
def shop(db, tmp_path):
    """A database, and the file of a relay with two sinks."""
    db.file = tmp_path / "relay.yaml"
    db.file.write_text(json.dumps(config(
        db, {"console": {"stdout": {}},
             "hooks": {"http": {"url": "http://127.0.0.1:9/in", "headers": {"x-secret": "hush"}}}},
        [{"from": "walrelay.outbox", "to": ["console", "hooks"]}])), encoding="utf-8")
    return db


def walrelay(database, *arguments):
    return run_command(*arguments, "-c", database.file)


def listed(database, *arguments):
    done = walrelay(database, "parked", "list", "-o", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ids_of(answer):
    return [row["id"] for row in answer["rows"]]


def test_list_shows_what_waits_newest_last_and_counts_it(shop):
    assert "nothing is set aside" in walrelay(shop, "parked", "list").stdout
    first = park(shop, "0/10")
    second = park(shop, "0/20", "held", key=None, sink="hooks")
    third = park(shop, "0/30", sink="", error="no route\nof it")
    gone = [park(shop, "0/40", "delivered"), park(shop, "0/50", "dropped")]
    park(shop, "0/60", slot="another")
    answer = listed(shop)
    assert ids_of(answer) == [first, second, third] and answer["older"] == 0
    assert [(one["state"], one["sink"], one["rows"]) for one in answer["counts"]] == [
        ("parked", None, 1), ("parked", "console", 1), ("held", "hooks", 1)]
    [row, *_] = answer["rows"]
    assert (row["table"], row["event_id"], row["key"], row["attempts"], row["error"]) == (
        "walrelay.outbox", "event of 0/10", "k", 3, "HTTP 400")
    assert 55 <= row["age_seconds"] < 300
    assert ids_of(listed(shop, "--all")) == [first, second, third, *gone]
    answer = listed(shop, "--limit", 1)
    assert ids_of(answer) == [third] and answer["older"] == 2
    text = walrelay(shop, "parked", "list", "--limit", 2).stdout
    assert "… and 1 older" in text and "(no route)" in text and r"no route\x0aof it" in text
    assert "1 held for sink hooks" in text


def test_selectors_narrow_a_list(shop):
    old = park(shop, "0/10", key="a", error="HTTP 400: 100% bad_thing", age="3 hours")
    new = park(shop, "0/20", key="b", sink="hooks", error="HTTP 404")
    homeless = park(shop, "0/30", key=None, sink="", error="no route takes it")
    for wanted, arguments in [
            ([old], ["--key", "a"]), ([], ["--key", ""]), ([new, homeless], ["--since", "30m"]),
            ([old, new, homeless], ["--since", "1d"]), ([], ["--since", "2200-01-01"]),
            ([old, new, homeless], ["--since", "2001-02-03 04:05:06+00"]),
            ([old, new], ["--error", "HTTP 4??*"]), ([old], ["--error", "*100% bad_*"]),
            ([], ["--error", "HTTP_4%"]), ([new], ["--sink", "hooks"]),
            ([homeless], ["--sink", "none"]), ([], ["--key", "' or 1=1 --"]),
            ([old], ["--sink", "console", "--error", "HTTP*"])]:
        assert ids_of(listed(shop, *arguments)) == wanted, arguments
    refused = walrelay(shop, "parked", "list", "--since", "yesterdayish")
    assert refused.returncode == 2 and "yesterdayish" in refused.stderr


def test_show_tells_all_of_a_row_and_what_would_be_sent_today(shop):
    one = park(shop, "0/10", type="placed", holds_key=True,
               message=insert_message("7d444840-9dc0-11d1-b245-5ffdce74fad2", "orders", "k\x1b[2J",
                                      None, '{"order": 17}', None, None))
    done = walrelay(shop, "parked", "show", one)
    assert done.returncode == 0, done.stderr
    for part in ("HTTP 400", "later events of its key wait", "2026-01-02 03:04:05.000006Z",
                 "column        topic = orders", 'payload = {"order": 17}', "type = NULL",
                 "to console", "to hooks", "http://127.0.0.1:9/in", r"k\x1b[2J"):
        assert part in done.stdout, part
    assert "hush" not in done.stdout and "\x1b" not in done.stdout
    shown = json.loads(walrelay(shop, "parked", "show", one, "-o", "json").stdout)
    assert shown["columns"]["payload"] == '{"order": 17}' and shown["columns"]["raw"] is None
    assert [to["sink"] for to in shown["deliveries"]] == ["console", "hooks"]
    assert shown["deliveries"][1]["payload"] == {"order": 17}
    assert shown["holds_key"] and shown["slot"] == shop.slot and shown["fault"] is None


def test_show_as_json_of_a_body_that_nests_very_deep_stays_small(shop):
    deep = "[" * 20000 + "]" * 20000
    one = park(shop, message=insert_message("7d444840-9dc0-11d1-b245-5ffdce74fad2", "orders", "k",
                                            None, deep, None, None))
    done = walrelay(shop, "parked", "show", one, "-o", "json")
    assert done.returncode == 0 and len(done.stdout) < 1 << 20, done.stderr
    shown = json.loads(done.stdout)
    assert shown["columns"]["payload"] == deep
    assert all(deep in to for to in shown["deliveries"])


def test_show_of_a_row_that_can_not_be_read_says_why(shop):
    other = park(shop, relation=relation_message("shop.gone", (("a", 25),)),
                 message=insert_message("x"))
    shown = walrelay(shop, "parked", "show", other).stdout
    assert "no route" in shown and "column        a = x" in shown
    older = park(shop, "0/11", relation=relation_message(columns=(("id", 25), ("topik", 25))),
                 message=insert_message("x", "orders"))
    shown = walrelay(shop, "parked", "show", older).stdout
    assert 'column "topic"' in shown and "does not exist" in shown and "topik = orders" in shown
    broken = park(shop, "0/20", message=b"Z")
    done = walrelay(shop, "parked", "show", broken)
    assert done.returncode == 0 and "read a row of walrelay.parked" in done.stdout
    missing = walrelay(shop, "parked", "show", 4711)
    assert missing.returncode == 1 and "row 4711: there is no such row" in missing.stderr
    foreign = walrelay(shop, "parked", "show", park(shop, "0/30", slot="another"))
    assert foreign.returncode == 1 and 'belongs to slot "another"' in foreign.stderr


@pytest.mark.every_major
def test_redrive_and_drop_mark_what_is_selected_and_leave_it_as_it_is(shop):
    parked, held = park(shop), park(shop, "0/20", "held")
    other = park(shop, "0/30", key="b", error="HTTP 404")
    foreign = park(shop, "0/40", slot="another")
    for action, arguments, wanted in [
            ("redrive", [parked, held], [parked, held]), ("redrive", ["--all"], [parked, other]),
            ("redrive", ["--all", "--held"], [parked, held, other]),
            ("redrive", ["--key", "b"], [other]), ("redrive", ["--sink", "console"],
                                                   [parked, other]),
            ("drop", ["--error", "*404"], [other]), ("drop", ["--since", "1h", "--key", "k"],
                                                     [parked]),
            ("drop", ["--all", "--yes"], [parked, other])]:
        done = walrelay(shop, "parked", action, *arguments)
        assert done.returncode == 0, done.stderr
        plural = "row is" if len(wanted) == 1 else "rows are"
        assert f"{len(wanted)} {plural} marked: the relay of slot \"{shop.slot}\"" in done.stdout
        assert marks(shop)[-1] == (action, shop.slot, None, wanted)
    assert shop.value("SELECT count(*) FROM walrelay.parked WHERE updated_at > parked_at") == 0
    answer = json.loads(walrelay(shop, "parked", "drop", held, foreign, "-o", "json").stdout)
    assert answer == {"action": "drop", "slot": shop.slot, "rows": 1}


def test_what_can_not_be_marked_is_named(shop):
    gone, foreign = park(shop, state="delivered"), park(shop, "0/20", slot="another")
    copied = park(shop, "0/30", server=42)
    refused = walrelay(shop, "parked", "redrive", gone, foreign, copied, 4711)
    assert refused.returncode == 1
    for part in (f"row {gone} is delivered already", f'row {foreign} belongs to slot "another"',
                 f"row {copied} was written on another server", "row 4711 there is no such row",
                 "nothing is marked", "walrelay parked list"):
        assert part in refused.stderr, part
    nothing = walrelay(shop, "parked", "drop", "--key", "nobody's")
    assert nothing.returncode == 1 and "nothing is marked" in nothing.stderr
    for arguments, part in [(["redrive"], "say which rows"), (["drop", "--held"], "say which rows"),
                            (["drop", "--all"], "add --yes"), (["redrive", "x"], ""),
                            (["redrive", "--sink", "hoks"],
                             'sink "hoks" is not in'), ([], "")]:
        refused = walrelay(shop, "parked", *arguments)
        assert refused.returncode == 2 and part in refused.stderr, (arguments, refused)
    assert marks(shop) == []


not_utf8 = os.fsdecode(b"k\xff")
bad_selectors = [
    *((["--since", text], "--since: a duration (90s, 30m, 2h, 3d; up to 999999) or a time")
      for text in ("", "5w", "-5m", "5", "9999999d", "1.5h", "yesterdayish", "2026-13-01",
                   "2026-01-01 12:00 nowhere/none")),
    *(([option, not_utf8], f"{option}: a text in UTF-8 is expected")
      for option in ("--key", "--error", "--since", "--sink")),
]
bad_marks = [
    *((["--", text], "ids: a whole number from 1 on is expected")
      for text in ("-5", "0", "x", "1.5", "010", "0x10", "99999999999999999999", "")),
    (["-5"], "-5"),
    (["1", "0"], "ids: a whole number from 1 on is expected"),
    ([], "say which rows: IDs, --key, --since, --error, --sink, or --all"),
    (["--held"], "say which rows: IDs, --key, --since, --error, --sink, or --all"),
    (["1", "--all", "--yes"], "IDs and --all exclude each other"),
]
bad_lists = [
    *((["--limit", text], "--limit: a whole number from 1 on is expected")
      for text in ("0", "-1", "x", "", "0x10", "99999999999999999999")),
    (["1"], "1"),
]


@pytest.mark.parametrize("command, bad", [
    ("list", [*bad_selectors, *bad_lists]),
    ("redrive", [*bad_selectors, *((arguments[:-1] if "--yes" in arguments else arguments, named)
                                   for arguments, named in bad_marks)]),
    ("drop", [*bad_selectors, *bad_marks]),
    ("show", [(["--", text], "id: a whole number from 1 on is expected")
              for text in ("0", "-1", "x", "010")]),
], ids=["list", "redrive", "drop", "show"])
def test_a_selector_that_can_not_be_meant_is_refused_by_name_and_marks_nothing(command, bad, shop):
    park(shop)
    for arguments, named in bad:
        done = run_command("parked", command, "-c", shop.file, *arguments)
        assert done.returncode == 2 and named in done.stderr, (arguments, done)
        assert done.stdout == "" and len(done.stderr.splitlines()) <= 2, (arguments, done)
    assert marks(shop) == []


def test_nothing_is_marked_where_no_relay_would_hear_of_it(shop):
    one = park(shop)
    shop.sql(f"ALTER PUBLICATION {shop.publication} DROP TABLE walrelay.redrive")
    for arguments in (["parked", "redrive", one], ["parked", "drop", one], ["pause", "hooks"],
                      ["resume", "hooks"]):
        refused = walrelay(shop, *arguments)
        assert refused.returncode == 2
        assert (f'alter publication "{shop.publication}" add table walrelay.redrive;'
                in refused.stderr)
    assert marks(shop) == []
    shop.sql("DROP TABLE walrelay.parked")
    refused = walrelay(shop, "parked", "list")
    assert refused.returncode == 2 and "sql --apply" in refused.stderr


def test_a_sink_is_paused_and_resumed_and_status_tells(shop):
    park(shop)
    park(shop, "0/20", "held", sink="hooks")
    assert walrelay(shop, "pause", "hooks").returncode == 0
    assert walrelay(shop, "pause", "console").returncode == 0
    done = walrelay(shop, "resume", "console")
    assert done.returncode == 0 and "console" in done.stdout
    assert [(action, sink) for action, _, sink, _ in marks(shop)] == [
        ("pause", "hooks"), ("pause", "console"), ("resume", "console")]
    refused = walrelay(shop, "pause", "nobody")
    assert refused.returncode == 2 and "which has: console, hooks" in refused.stderr
    shown = json.loads(walrelay(shop, "status", "-o", "json").stdout)["database"]
    assert shown["paused"] == ["hooks"]
    assert shown["aside"] == [{"state": "parked", "sink": "console", "rows": 1},
                              {"state": "held", "sink": "hooks", "rows": 1}]
    text = walrelay(shop, "status").stdout
    assert "1 parked for sink console" in text and "parked redrive sends them again" in text
    assert "sink hooks: walrelay resume hooks" in text
