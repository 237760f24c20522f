"""What a running relay does once an hour: partitions are emptied, rows that nobody needs deleted."""

import itertools
import subprocess
import time

from support.events import commit_position, emit, numbers, to_http
from support.parked import park
from support.wait import until

# A clock that is half past some hour at first, and an hour ahead as soon as a file is there.
other_clock = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(which, now);
    if (which != CLOCK_REALTIME) return answer;
    now->tv_sec += atoi(getenv("TO_HALF_PAST"));
    if (access(getenv("AN_HOUR_LATER"), F_OK) == 0) now->tv_sec += 3600;
    return answer;
}
"""


def clock_in(folder):
    """The environment of a relay, and the file that is made when an hour has passed."""
    source, library, later = (folder / name for name in ("clock.c", "clock.so", "an_hour_later"))
    source.write_text(other_clock, encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    to_half_past = str(1800 - int(time.time()) % 3600)
    return {"LD_PRELOAD": str(library), "AN_HOUR_LATER": str(later),
            "TO_HALF_PAST": to_half_past}, later


def test_with_the_first_record_of_an_hour_all_that_nobody_needs_goes_and_a_fault_stops_no_other_part(
    db, receiver, relay, tmp_path
):
    environment, an_hour_later = clock_in(tmp_path)
    process = relay(to_http(db, receiver), environment=environment).wait_ready()
    db.sql("INSERT INTO walrelay.outbox (topic, payload, at)"
           " VALUES ('t', '{\"n\": 1}', clock_timestamp() - interval '21 hours')")
    receiver.wait_for(1)
    park(db, "0/20", "parked", age="8 days")
    park(db, "0/10", "delivered", age="8 days")
    db.sql("INSERT INTO walrelay.parked OVERRIDING SYSTEM VALUE SELECT (made.r).*"
           " FROM (SELECT jsonb_populate_record(p, jsonb_build_object('id', p.id + i,"
           " 'ordinal', i)) AS r FROM walrelay.parked p, generate_series(1, 24999) i"
           " WHERE p.state = 'delivered') made")
    pruned = "SELECT count(*) FROM walrelay.parked WHERE state = 'delivered'"
    numbered = itertools.count(2)

    def recorded(condition):
        """A record is written of one more event; whether the condition holds of it."""
        number = next(numbered)
        emit(db, number)
        commit = commit_position(receiver.wait_for(number)[number - 1])
        until(lambda: db.slot_state()[1] > commit, what="it is acknowledged")
        return db.value(f"SELECT {condition} FROM walrelay.progress")

    # As rotate() asks: the record's snapshot sees the oldest row as delivered.
    old = "FROM walrelay.outbox WHERE at < now() - interval '20 hours'"
    until(lambda: recorded("pg_snapshot_xmin(delivered_snapshot)::text::bigint"
                           f" > (SELECT max(xmin::text::bigint) {old})"), 30, "it is delivered")
    assert db.value(pruned) == 25000, "this hour counts as done"

    db.sql("ALTER FUNCTION walrelay.rotate RENAME TO rotate_later")
    an_hour_later.touch()
    recorded("true")
    until(lambda: db.value(pruned) == 0, 20, "all 25,000 rows are deleted, not 10,000")
    process.wait_log("walrelay.rotate.* does not exist")
    assert db.sql("SELECT state FROM walrelay.parked") == [("parked",)]
    assert db.value(f"SELECT count(*) {old}") == 1

    assert process.stop() == 0
    db.sql("ALTER FUNCTION walrelay.rotate_later RENAME TO rotate")
    an_hour_later.unlink()
    process.start(wait=True)
    # rotate() passes over a partition that somebody reads.
    leaf = db.value(f"SELECT tableoid::int8 {old}")
    file = f"SELECT relfilenode FROM pg_class WHERE oid = {leaf}"
    before = db.value(file)
    an_hour_later.touch()
    recorded("true")
    until(lambda: db.value(file) != before, what="the oldest partition is emptied")
    assert db.value(f"SELECT count(*) {old}") == 0
    assert numbers(receiver.requests) == list(range(1, next(numbered)))
