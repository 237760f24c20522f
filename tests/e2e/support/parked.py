"""Rows of walrelay.parked: those that a relay wrote, and others as one would have written them."""

import json

from . import canary
from .receiver import Reply
from .relay import run_command
from .wait import until


def _name(text):
    return text.encode() + b"\0"


# What the outbox's routes use, with the types' oids.
outbox_columns = (("id", 2950), ("topic", 25), ("key", 25), ("type", 25), ("payload", 3802),
                  ("raw", 17), ("headers", 3802))


def relation_message(table="walrelay.outbox", columns=outbox_columns, oid=16400):
    """A Relation message of the replication protocol."""
    schema, _, name = table.partition(".")
    body = b"R" + oid.to_bytes(4, "big") + _name(schema) + _name(name) + b"d"
    body += len(columns).to_bytes(2, "big")
    for column, kind in columns:
        body += b"\0" + _name(column) + kind.to_bytes(4, "big") + b"\xff\xff\xff\xff"
    return body


def insert_message(*values, oid=16400):
    """An Insert message; None is NULL."""
    body = b"I" + oid.to_bytes(4, "big") + b"N" + len(values).to_bytes(2, "big")
    for value in values:
        if value is None:
            body += b"n"
        else:
            data = value.encode()
            body += b"t" + len(data).to_bytes(4, "big") + data
    return body


def park(database, lsn="0/10", state="parked", sink="console", key="k", slot=None, server=None,
         error="HTTP 400", age="1 minute", **more):
    """Inserts a row and gives its id."""
    row = {
        "slot": slot or database.slot,
        "lsn": lsn,
        "ordinal": 0,
        "message_number": 0,
        "origin": "row",
        "xid": 700,
        "committed_at": "2026-01-02 03:04:05.000006+00",
        "relation": relation_message(),
        "message": insert_message("7d444840-9dc0-11d1-b245-5ffdce74fad2", "orders", key,
                                  None, '{"order": 17}', None, None),
        "lane": None if key is None else 77,
        "source_table": "walrelay.outbox",
        "event_id": f"event of {lsn}",
        "sink": sink,
        "destination": "/in",
        "key": key,
        "error": error,
        "attempts": 3,
        "state": state,
        "holds_key": False,
        **more,
    }
    names = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    [[found]] = database.sql(
        f"INSERT INTO walrelay.parked ({names}, system_identifier, parked_at, updated_at)"
        f" SELECT {marks}, coalesce(%s, system_identifier), statement_timestamp() - %s::interval,"
        " statement_timestamp() - %s::interval FROM pg_control_system() RETURNING id",
        [*row.values(), server, age, age])
    return found


def marks(database):
    """The marks as (action, slot, sink, ids), oldest first."""
    return database.sql("SELECT action, slot, sink, ids FROM walrelay.redrive ORDER BY id")


def wait_set_aside(database, event, deadline=15):
    """What walrelay.parked says of the event, as a dict, once a relay has set it aside."""
    columns = "source_table, event_id, sink, destination, key, error, state, lsn"

    def look():
        return database.sql(f"SELECT {columns} FROM walrelay.parked WHERE event_id = %s", [event])

    [values] = until(look, deadline, f"{event} is set aside")
    row = dict(zip(columns.split(", "), values))
    canary.look_for({"an error in walrelay.parked": row["error"]})
    return row


def waiting(db, state=None):
    """What is set aside: (event number, state, sink), in the order of the stream."""
    rows = db.sql(
        "SELECT message, state, sink FROM walrelay.parked ORDER BY lsn, ordinal, message_number"
    )
    found = []
    for message, is_state, sink in rows:
        if state in (None, is_state):
            text = bytes(message)
            at = text.index(b'{"n": ')
            found.append((json.loads(text[at : text.index(b"}", at) + 1])["n"], is_state, sink))
    return found


def refuses(*bad, status=422, others=200):
    """Answers by the number of the event."""
    return lambda request: Reply(status if json.loads(request.body)["n"] in bad else others)


def pause(process, sink):
    """`walrelay pause`; the relay has done it."""
    done = run_command("pause", sink, "-c", process.file)
    assert done.returncode == 0, done.stderr
    process.wait_not_ready(f"sink {sink} is paused by an operator")


def resume(process, sink):
    done = run_command("resume", sink, "-c", process.file)
    assert done.returncode == 0, done.stderr


def mark(db, relay_file, *arguments):
    done = run_command("parked", *arguments, "-c", relay_file)
    assert done.returncode == 0, done.stderr
    return done
