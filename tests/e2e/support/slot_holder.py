"""Somebody else who reads the slot of a relay."""

import contextlib

import psycopg2
import psycopg2.extras

from .wait import until


@contextlib.contextmanager
def slot_held(database):
    """Somebody else reads the slot; gives the process id of its walsender."""
    connection = psycopg2.connect(
        database.dsn(), connection_factory=psycopg2.extras.LogicalReplicationConnection
    )
    try:
        cursor = connection.cursor()
        cursor.start_replication(
            slot_name=database.slot,
            options={"proto_version": "1", "publication_names": database.publication},
        )
        yield until(lambda: database.slot_state()[0], what="the slot is held")
    finally:
        connection.close()
