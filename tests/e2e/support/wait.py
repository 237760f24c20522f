"""Waiting for a condition with a deadline: the one place in the tests that pauses between looks."""

import threading
import time

poll_interval = 0.01
_never = threading.Event()


def until(condition, deadline=20.0, what=None, every=poll_interval):
    """Returns the first true value of condition(), asked again and again.

    Raises AssertionError after `deadline` seconds; `what`, a text or a callable that makes one,
    names what was awaited. Exceptions of the condition are not swallowed.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what or condition
            raise AssertionError(f"not within {deadline:g} s: {text}")
        _never.wait(every)


def stays(condition, seconds, what=None, every=0.05):
    """Asserts that condition() is true now and at each look for so many seconds.

    For what must not happen: nothing can be awaited then, only looked for long enough.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = what() if callable(what) else what or condition
        assert condition(), f"for {seconds:g} s: {text}"
        _never.wait(every)
