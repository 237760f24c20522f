"""The stack of docker-compose.yml: the engine, the images, and one run of it for all tests."""

import contextlib
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from engine import Engine  # noqa: E402
from stack import Stack  # noqa: E402


def pytest_configure():
    # A SIGTERM ends the run as Ctrl-C does, so that everything is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def engine():
    """Without one no test can run: that is said once, and is a failure."""
    try:
        found = Engine()
    except RuntimeError as error:
        pytest.exit(str(error), 1)
    with contextlib.closing(found):
        yield found


@pytest.fixture(scope="session")
def stack(engine):
    with contextlib.closing(Stack(engine)) as made:
        try:
            made.provide_images()
            made.up()
        except RuntimeError as error:
            pytest.exit(str(error), 1)
        yield made
