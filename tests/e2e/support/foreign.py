"""Outbox tables of the user's own making, and the routes that map them."""

import contextlib
import json

from .relay import config, run_command


def make(database, table, columns, *statements):
    """Creates and publishes the table; the statements come before it is published."""
    database.sql(f"CREATE TABLE {table} ({columns})")
    for statement in statements:
        database.sql(statement)
    database.sql(f"ALTER PUBLICATION {database.publication} ADD TABLE {table}")


def change_partitions(database, statement):
    """Attaches or detaches a partition, so that the stream notices it on each major.

    PostgreSQL 14 looks up once a connection whether a table is published, and not again when it is
    attached: without the change of the publication, the rows of a table that was written to before
    are never sent.
    """
    with contextlib.closing(database.conn(autocommit=False)) as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        if connection.server_version < 150000:
            cursor.execute(f"ALTER PUBLICATION {database.publication} SET (publish = 'insert')")
        connection.commit()


def maps(database, receiver, table, shape, *before, **route):
    """A sink map that sends the table to the receiver; `before` are routes in front of its own."""
    sinks = {"endpoint": {"http": {"url": receiver.url + "/in"}}}
    last = {"from": table, "shape": shape, "to": "endpoint", **route}
    return config(database, sinks, [*before, last, {"from": "walrelay.outbox", "to": "none"}])


def check(settings, folder):
    """The exit code of `walrelay check`, and what it finds as (severity, all that it says)."""
    file = folder / "check.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    done = run_command("check", "-c", file, "-o", "json")
    return done.returncode, [
        (one["severity"], json.dumps(one, ensure_ascii=False)) for one in json.loads(done.stdout)
    ]
