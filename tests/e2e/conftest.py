"""Fixtures of the end-to-end tests: real servers, started when a test asks for them."""

import signal

import pytest

from support.broker import Broker
from support.cluster import Cluster
from support.receiver import Receiver
from support.relay import Relay


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long; only with ./dev test --full")
    # A SIGTERM ends the run as Ctrl-C does, so that every fixture stops what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL cluster shared by the session. A test that stops it makes its own."""
    server = Cluster()
    yield server
    server.close()


@pytest.fixture(scope="session")
def schema_template(cluster):
    """The name of a database that holds the walrelay schema, to make copies of."""
    database = cluster.database()
    database.install_schema()
    return database.name


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


@pytest.fixture(scope="session")
def newest_cluster():
    """A PostgreSQL 18 cluster shared by the session."""
    server = Cluster(18)
    yield server
    server.close()


@pytest.fixture(params=["debian", "newest"])
def either_db(request):
    """As `db`, once on Debian's own PostgreSQL and once on 18."""
    if request.param == "debian":
        yield request.getfixturevalue("db")
        return
    database = request.getfixturevalue("newest_cluster").database()
    database.install_schema()
    equip(database)
    yield database
    database.drop()


def equip(database):
    """What `walrelay sql --apply` adds to the schema, with the names of the database."""
    database.create_relay_role()
    database.publish("walrelay.outbox")
    database.create_slot()


@pytest.fixture
def new_cluster():
    """Makes clusters of the test's own: new_cluster(version=18, wal_sender_timeout='3s')."""
    made = []

    def make(version=None, **settings):
        made.append(Cluster(version, **settings))
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
