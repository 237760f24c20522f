"""What the tests commit, where they send it, and what arrived."""

import dataclasses
import json

from .relay import config


def outbox_to(sink, **more):
    return {"from": "walrelay.outbox", "to": sink, **more}


def to_http(database, receiver, http=None, **sections):
    """A sink map that sends the outbox to the receiver, with the commit LSN in a header."""
    sink = {"http": {"url": receiver.url + "/in", "metadata": True, **(http or {})}}
    return config(database, {"endpoint": sink}, [outbox_to("endpoint")], **sections)


def to_stdout(database, **sections):
    return config(database, {"console": {"stdout": {}}}, [outbox_to("console")], **sections)


def to_discard(database, **sections):
    return config(database, {"nothing": {"discard": {}}}, [outbox_to("nothing")], **sections)


def emit(database, first, last=None, keys=1, cursor=None, bytes_each=0):
    """Commits the events first..last in one transaction: payload {"n": NUMBER}, `keys` keys in turn.

    With a cursor they become part of its transaction. `bytes_each` makes each payload larger.
    """
    statement = (
        "INSERT INTO walrelay.outbox (topic, key, type, payload)"
        " SELECT 't', 'k' || n %% %(keys)s, 'counted', CASE WHEN %(pad)s = 0"
        " THEN jsonb_build_object('n', n)"
        " ELSE jsonb_build_object('n', n, 'pad', repeat('x', %(pad)s)) END"
        " FROM generate_series(%(first)s::int, %(last)s::int) n ORDER BY n"
    )
    values = {
        "first": first,
        "last": first if last is None else last,
        "keys": keys,
        "pad": bytes_each,
    }
    if cursor is not None:
        cursor.execute(statement, values)
    else:
        database.sql(statement, values)


def numbers(requests):
    """The NUMBER of each request, in the order of arrival."""
    return [json.loads(request.body)["n"] for request in requests]


def by_key(requests):
    """The numbers of each key, in the order of arrival."""
    found = {}
    for request in requests:
        found.setdefault(request.headers.get("x-walrelay-key"), []).append(
            json.loads(request.body)["n"]
        )
    return found


def position(text):
    """An LSN as bytes since 0/0."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def commit_position(request):
    return position(request.headers["x-walrelay-lsn"])


@dataclasses.dataclass(frozen=True)
class Arrivals:
    """What a receiver holds: how often each number came, and with which id and bytes."""

    distinct: set
    repeats: int
    differing: list  # numbers that came with another id, key or body the second time

    @classmethod
    def of(cls, requests):
        seen = {}
        differing = []
        for number, request in zip(numbers(requests), requests):
            identity = (
                request.headers["webhook-id"],
                request.headers.get("x-walrelay-key"),
                request.body,
            )
            if seen.setdefault(number, identity) != identity:
                differing.append(number)
        return cls(set(seen), len(requests) - len(seen), differing)


def skips(sequence):
    """The places of a key's log where an event came before one that was committed earlier.

    Repeats may rewind the log; what is new must be the next one: numbers that ascend by commit.
    """
    order = {number: place for place, number in enumerate(sorted(set(sequence)))}
    newest = -1
    wrong = []
    for number in sequence:
        if order[number] > newest + 1:
            wrong.append(number)
        newest = max(newest, order[number])
    return wrong
