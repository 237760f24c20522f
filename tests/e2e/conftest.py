"""Fixtures of the end-to-end tests: real servers, started when a test asks for them."""

import contextlib
import functools
import os
import pathlib
import signal
import uuid

import psycopg2
import pytest

from support import downloads
from support.broker import Broker
from support.cluster import Cluster, debian_postgres
from support.receiver import Receiver
from support.relay import Relay


# Taken first, so that no run is left alone with one of them in the end.
longest_files = ("test_kafka_faults.py", "test_backpressure.py", "test_kafka.py", "test_crash.py")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long; only with ./dev test --full")
    config.addinivalue_line("markers", "every_major: runs on 14, 15 and 18; with --full on each")
    # A SIGTERM ends the run as Ctrl-C does, so that every fixture stops what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_generate_tests(metafunc):
    """What is marked `every_major` runs on each, the others on Debian's own PostgreSQL.

    Those between the oldest and the newest take their turn with --full, but for Debian's.
    """
    if metafunc.definition.get_closest_marker("every_major"):
        ends = (min(downloads.postgres_releases), max(downloads.postgres_releases))
        majors = [
            pytest.param(one, marks=[] if one in (*ends, 15) else [pytest.mark.slow], id=f"pg{one}")
            for one in downloads.postgres_releases
        ]
        metafunc.parametrize("major", majors)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in longest_files)


def pytest_runtest_protocol(item):
    """Where two runs share the work (tests/run.py), each runs the files that it takes first.

    True means that the test needs no run here. A file belongs to one run, so that what its tests
    share is made once.
    """
    folder = os.environ.get("WALRELAY_TAKEN_FILES")
    return True if folder and not takes(folder, item.path) else None


@functools.lru_cache(maxsize=None)
def takes(folder, file):
    """Whether this run is the first to ask for the file."""
    try:
        os.close(os.open(pathlib.Path(folder, file.name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@pytest.fixture
def major():
    """The major version of the servers of the test: Debian's, unless it is `every_major`."""
    return int(debian_postgres().name)


@pytest.fixture(scope="session")
def shared_clusters():
    """shared_clusters(major): a cluster for all tests of the session that stop no server."""
    made = []

    @functools.lru_cache(maxsize=None)
    def cluster_of(version):
        made.append(Cluster(version))
        return made[-1]

    yield cluster_of
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def schema_templates():
    """schema_templates(cluster): the name of a database with the walrelay schema, to copy."""

    @functools.lru_cache(maxsize=None)
    def template_of(server):
        database = server.database()
        database.install_schema()
        return database.name

    return template_of


@pytest.fixture
def cluster(major, shared_clusters):
    """A PostgreSQL cluster shared by the session. A test that stops it makes its own."""
    return shared_clusters(major)


@pytest.fixture
def schema_template(cluster, schema_templates):
    """The name of a database that holds the walrelay schema, to make copies of."""
    return schema_templates(cluster)


@pytest.fixture
def empty_db(cluster):
    """A fresh, empty database of the shared cluster."""
    database = cluster.database()
    yield database
    database.drop()


@pytest.fixture
def db(cluster, schema_template):
    """A fresh database with the walrelay schema, relay's role, publication and slot."""
    database = cluster.database(schema_template)
    equip(database)
    yield database
    database.drop()


@pytest.fixture
def more_dbs(cluster, schema_template):
    """Makes databases as `db` is, for tests that run several relays beside each other."""
    made = []

    def make():
        made.append(cluster.database(schema_template))
        equip(made[-1])
        return made[-1]

    yield make
    for database in made:
        database.drop()


@pytest.fixture
def role(cluster):
    """Makes login roles that are dropped at the end: role(rights, name)."""
    made = []

    def make(rights="", name=None):
        made.append(name or f"r_{uuid.uuid4().hex[:12]}")
        cluster.sql(f"CREATE ROLE {made[-1]} LOGIN {rights}")
        return made[-1]

    yield make
    for name in reversed(made):
        for [database] in cluster.sql("SELECT datname FROM pg_database WHERE datallowconn"
                                      " AND datname LIKE 'wr\\_%'"):
            with contextlib.suppress(psycopg2.OperationalError):  # dropped meanwhile
                cluster.sql(f"DROP OWNED BY {name} CASCADE", dbname=database)
        cluster.sql(f"DROP ROLE {name}")


def equip(database):
    """What `walrelay sql --apply` adds to the schema, with the names of the database."""
    database.create_relay_role()
    database.publish("walrelay.outbox", "walrelay.redrive")
    database.create_slot()


@pytest.fixture
def new_cluster(major):
    """Makes clusters of the test's own: new_cluster(wal_sender_timeout='3s', version=18)."""
    made = []

    def make(version=None, **settings):
        made.append(Cluster(version or major, **settings))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def new_db():
    """A database as `db` makes it, in a cluster of the test's own: new_db(cluster)."""

    def make(server):
        database = server.database()
        database.install_schema()
        equip(database)
        return database

    return make


@pytest.fixture(scope="session")
def broker():
    """A Kafka broker shared by the session. A test that stops it makes its own with new_broker."""
    server = Broker()
    yield server
    server.close()


@pytest.fixture
def new_broker():
    made = []

    def make(**properties):
        made.append(Broker(**properties))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def receiver():
    """An HTTP endpoint that answers 200 until it is told otherwise."""
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def other_receiver():
    """A second one, where a test has two sinks."""
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def relay(tmp_path):
    """Starts relays: relay(config). Those that still run at the end of the test are killed."""
    made = []

    def make(config, start=True, **options):
        made.append(Relay(config, tmp_path / f"relay{len(made)}", **options))
        if start:
            made[-1].start()
        return made[-1]

    yield make
    for process in made:
        process.close()
