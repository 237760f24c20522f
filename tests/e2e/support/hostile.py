"""Texts that a row may hold and that must stay what they are wherever they go: C13, C14."""

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
