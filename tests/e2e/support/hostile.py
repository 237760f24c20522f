"""Texts that a row may hold and that must stay what they are: C13, C14; and bad files: D5."""

from . import canary

texts = [
    "a\r\nX-Evil: 1",
    "\r\n\r\nPOST /evil HTTP/1.1\r\nHost: evil\r\nContent-Length: 0\r\n\r\n",
    "../../admin",
    "../admin",
    "a/b?c=d#e&f",
    "a/b?x#y",
    "%2e%2e",
    "%2e%2e%2fadmin%0d%0a",
    "@evil.com",
    " a b\t",
    "ü😀\x7f\x01",
    "{topic}{{",
    "http://evil.example/",
    canary.reference,
    "%0d%0aX-Evil:%201",
    "\x1b[2J\x1b]0;x\x07\u0085\u2028\u2029\u202e",
    '"\\\'`{}{{}}<>^|',
    "x" * 3000,
]

_whole = """
source: { conninfo: "dbname=shop", slot: walrelay, publication: walrelay }
sinks: { hooks: { http: { url: "http://127.0.0.1/" } } }
routes: [ { from: walrelay.outbox, to: hooks } ]
"""
# Configurations: the file, and what is said of it behind its name. EMPTY must be set, and empty.
_files = {
    "billion laughs": (
        b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(
            b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
        ),
        r":\d+:\d+: too many values",
    ),
    "10 MB": (b"# " + b"x" * 10_000_000, ": larger than 1 MiB"),
    "NUL": (_whole + "log: { level: \0 }\n", ":5:15: a NUL byte"),
    "UTF-16": (_whole.encode("utf-16"), r":\d+:1: (a NUL byte|this line is not UTF-8)"),
    "unknown key": (_whole + "limits: { in_flight_evnts: 1 }\n",
                    ":5:11: limits.in_flight_evnts: unknown key, did you mean in_flight_events"),
    "duplicate key": (_whole + "log: {}\nlog: {}\n", ":6:1: log: duplicate key.*line 5, column 1"),
    "wrong type": (_whole + "limits: [ 1 ]\n", ":5:1: limits: expected a map, got a list"),
    "tab": (_whole + "log:\n\tlevel: info\n", ":6:1: a tab in the indentation"),
    "missing variable": (_whole + 'admin: { token: "${env:WALRELAY_NONE}" }\n',
                         ":5:17: admin.token: the environment variable WALRELAY_NONE is not set"),
    "missing secret file": (_whole + 'admin: { token: "${file:/nowhere/token}" }\n',
                            ":5:17: admin.token: the secret file /nowhere/token can't be read"),
    "secret from a device": (_whole + 'admin: { token: "${file:/dev/zero}" }\n',
                             ":5:17: admin.token: the secret file /dev/zero can't be read"),
    "empty secret": (_whole + 'admin: { token: "${env:EMPTY}" }\n',
                     ":5:17: admin.token: the environment variable EMPTY is empty"),
    "deep lists": (b"a: " + b"[" * 300_000, r":\d+:\d+: "),
    "deep maps": (b"{a: " * 150_000, r":\d+:\d+: "),
    "deep blocks": (b"- " * 300_000 + b"x", r":\d+:\d+: "),
}
files = {
    name: (content.encode() if isinstance(content, str) else content, said)
    for name, (content, said) in _files.items()
}
