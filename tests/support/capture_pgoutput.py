#!/usr/bin/python3
"""Captures what a real Postgres sends in pgoutput, protocol 1, as fixtures for the decoder's tests.

usage: capture_pgoutput.py HOST PORT USER DATABASE OUTPUT_FOLDER

The server needs wal_level=logical and must let USER, a superuser, in without a password. The
script speaks the wire protocol itself (client libraries hide keepalives and the header of
XLogData), makes the database anew, runs the steps below and writes

  OUTPUT_FOLDER/<name>.hex      one pgoutput message or one CopyData payload
  OUTPUT_FOLDER/session.hex     all CopyData payloads as they came, one a line

The first line of each file says which server and which statement it comes from. Object ids, LSNs,
xids and times differ from run to run: after a capture the values in
tests/unit/pgoutput/capture.hpp have to be changed with it.
"""
import os
import socket
import struct
import sys
import textwrap
import time

SETUP = [
    "CREATE TYPE public.mood AS ENUM ('good', 'bad')",
    "CREATE TABLE public.item "
    "(id int PRIMARY KEY, note text, body jsonb, feeling public.mood, big text)",
    "ALTER TABLE public.item ALTER big SET STORAGE EXTERNAL",
    "CREATE TABLE public.whole (id bigint, note varchar(20))",
    "ALTER TABLE public.whole REPLICA IDENTITY FULL",
    "CREATE TABLE public.unpublished (id int)",
    "CREATE PUBLICATION captured FOR TABLE public.item, public.whole",
    "SELECT pg_replication_origin_create('upstream')",
    "SELECT pg_create_logical_replication_slot('captured', 'pgoutput')",
]

# Each step is one transaction. The names say which message of it goes to which file: the n-th name
# of a type byte is the n-th message of that type.
STEPS = [
    ("INSERT INTO public.item VALUES (1, 'Zürich', '{\"k\": 1}', 'good', repeat('x', 3000))",
     {"B": ["begin"], "R": ["relation_default"], "Y": ["type"], "I": ["insert_large"],
      "C": ["commit"]}),
    ("INSERT INTO public.item VALUES (2, '', NULL, NULL, NULL)", {"I": ["insert_text_null"]}),
    ("INSERT INTO public.unpublished VALUES (1)", {}),
    ("UPDATE public.item SET note = 'new' WHERE id = 2", {"U": ["update"]}),
    ("UPDATE public.item SET id = 100 WHERE id = 1", {"U": ["update_key_unchanged_toast"]}),
    ("INSERT INTO public.whole VALUES (9000000000, 'w')", {"R": ["relation_full"]}),
    ("UPDATE public.whole SET note = NULL", {"U": ["update_full"]}),
    ("DELETE FROM public.whole", {"D": ["delete_full"]}),
    ("DELETE FROM public.item WHERE id = 100", {"D": ["delete_key"]}),
    ("SELECT pg_logical_emit_message(true, 'pfx', 'inside')", {"M": ["message_transactional"]}),
    ("SELECT pg_logical_emit_message(false, 'pfx', '')", {"M": ["message_outside"]}),
    ("TRUNCATE public.item RESTART IDENTITY", {"T": ["truncate"]}),
    ("TRUNCATE public.item, public.whole CASCADE", {"T": ["truncate_two"]}),
    ("SELECT pg_replication_origin_session_setup('upstream');"
     "BEGIN;"
     "SELECT pg_replication_origin_xact_setup('1/ABCDEF', '2020-01-02 03:04:05+00');"
     "INSERT INTO public.item VALUES (3);"
     "COMMIT",
     {"O": ["origin"]}),
]


class Connection:
    """The least of the frontend/backend protocol: start-up without password, Query, CopyBoth."""

    def __init__(self, host, port, user, database, **parameters):
        self.socket = socket.create_connection((host, port), timeout=30)
        pairs = {"user": user, "database": database, "client_encoding": "UTF8", **parameters}
        body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in pairs.items()) + b"\0"
        self.socket.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
        self.until(b"Z")

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("the server closed the connection")
            data += part
        return data

    def message(self):
        kind = self.receive(1)
        body = self.receive(struct.unpack("!i", self.receive(4))[0] - 4)
        if kind == b"E":
            fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
            raise RuntimeError(f"{fields[b'C']} {fields[b'M']}")
        if kind == b"R" and body != b"\0\0\0\0":
            raise RuntimeError("the server wants a password")
        return kind, body

    def until(self, last):
        rows = []
        while True:
            kind, body = self.message()
            if kind == b"D":
                rows.append(first_column(body))
            if kind == last:
                return rows

    def send(self, kind, body):
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def query(self, sql, last=b"Z"):
        self.send(b"Q", sql.encode() + b"\0")
        return self.until(last)

    def copy_data(self):
        while True:
            kind, body = self.message()
            if kind == b"d":
                return body


def first_column(data_row):
    size = struct.unpack_from("!i", data_row, 2)[0]
    return data_row[6:6 + size].decode() if size > 0 else ""


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def status(position):
    """Confirms nothing; a reply is requested."""
    return b"r" + struct.pack("!QQQqB", position, 0, 0, 0, 1)


def stream(connection, last_position):
    """All payloads up to last_position, and then one keepalive that requests a reply."""
    connection.query("START_REPLICATION SLOT captured LOGICAL 0/0 "
                     "(proto_version '1', publication_names '\"captured\"', messages 'true')",
                     last=b"W")
    connection.send(b"d", status(0))
    payloads = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        payload = connection.copy_data()
        payloads.append(payload)
        if payload[:1] == b"k" and payload[17] == 1:  # its wal_sender_timeout is half over
            if struct.unpack_from("!Q", payload, 1)[0] >= last_position:
                return payloads
            connection.send(b"d", status(0))
    raise RuntimeError("the stream did not get to the last statement")


def units(payloads):
    """The messages of each transaction that has any, and of each message outside one."""
    found, current = [], None
    for payload in payloads:
        if payload[:1] != b"w":
            continue
        message = payload[25:]
        if message[:1] == b"B":
            current = []
        if current is None:
            found.append([message])
            continue
        current.append(message)
        if message[:1] == b"C":
            if len(current) > 2:  # before version 15 there are empty pairs
                found.append(current)
            current = None
    return found


class Folder:
    def __init__(self, path, server):
        self.path, self.server = path, server
        os.makedirs(path, exist_ok=True)

    def write(self, name, origin, lines):
        with open(os.path.join(self.path, name + ".hex"), "w", encoding="utf-8") as out:
            out.write(f"# PostgreSQL {self.server}: {origin}\n")
            out.writelines(line + "\n" for line in lines)
        print(f"{name}.hex")


def write_messages(folder, found):
    steps = [step for step in STEPS if step[1]]
    if len(found) != len(steps):
        raise RuntimeError(f"{len(found)} units for {len(steps)} steps")
    for (sql, names), messages in zip(steps, found):
        for kind, files in names.items():
            of_kind = [m for m in messages if m[:1] == kind.encode()]
            for name, message in zip(files, of_kind):
                folder.write(name, sql, textwrap.wrap(message.hex(), 96))
            if len(of_kind) < len(files):
                raise RuntimeError(f"no {kind} message for: {sql}")


def main():
    host, port, user, database, output = sys.argv[1:]
    admin = Connection(host, int(port), user, "postgres")
    admin.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE slot_name = 'captured'")
    admin.query("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin "
                "WHERE roname = 'upstream'")
    admin.query(f'DROP DATABASE IF EXISTS "{database}"')
    admin.query(f'CREATE DATABASE "{database}"')
    sql = Connection(host, int(port), user, database)
    for statement in SETUP:
        sql.query(statement)
    for statement, _ in STEPS:
        sql.query(statement)
    last_position = lsn(sql.query("SELECT pg_current_wal_lsn()")[0])
    folder = Folder(output, sql.query("SHOW server_version")[0])

    replication = Connection(host, int(port), user, database, replication="database",
                             options="-c wal_sender_timeout=2s -c timezone=UTC")
    payloads = stream(replication, last_position)
    write_messages(folder, units(payloads))
    whole = "all statements of capture_pgoutput.py"
    folder.write("session", whole, [p.hex() for p in payloads])
    begin = next(p for p in payloads if p[25:26] == b"B")
    folder.write("frame_xlog_data", STEPS[0][0], [begin.hex()])
    quiet = next(p for p in payloads if p[:1] == b"k" and p[17] == 0)
    folder.write("frame_keepalive", "answer to a status that requests a reply", [quiet.hex()])
    folder.write("frame_keepalive_reply_requested", "half of wal_sender_timeout is over",
                 [payloads[-1].hex()])


if __name__ == "__main__":
    main()
