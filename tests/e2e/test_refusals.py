"""What stops the relay at its start: each refusal says what is wrong, and exits 2."""

import re

import pytest

from support.cluster import Cluster
from support.events import outbox_to, to_discard
from support.relay import config
from support.wait import until


@pytest.fixture(scope="module")
def guarded_cluster():
    """A cluster of which pg_hba.conf may be changed."""
    server = Cluster()
    yield server
    server.close()


@pytest.fixture
def guarded_db(guarded_cluster, new_db):
    database = new_db(guarded_cluster)
    yield database
    database.drop()


def restrict(database, method):
    """Connections of the relay's role over TCP need this method from now on."""
    server = database.cluster
    file = server.data / "pg_hba.conf"
    rule = f"host all {database.relay_user} 127.0.0.1/32 {method}\n"
    file.write_text(rule + file.read_text(encoding="utf-8"), encoding="utf-8")
    said = "reloading configuration files"
    before = server.log().count(said)
    server.reload()
    # The postmaster reads the file in the same turn, before it accepts another connection.
    until(lambda: server.log().count(said) > before, what="the server reads its files again")


def refused(process):
    process.start()
    assert process.wait_exit() == 2, process.log()[-2000:]
    return process.log()


@pytest.mark.every_major
def test_a_captured_table_without_a_route_is_refused_with_both_mends(db, relay):
    db.sql("CREATE TABLE lonely (n int)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE lonely")
    log = refused(relay(to_discard(db), start=False))
    assert "its table public.lonely has no route" in log
    assert "to: none" in log
    assert f'ALTER PUBLICATION "{db.publication}" DROP TABLE "public"."lonely"' in log


@pytest.mark.every_major
def test_a_route_whose_table_is_not_published_is_refused(db, relay):
    db.sql("CREATE TABLE unpublished (body text)")
    settings = config(
        db,
        {"nothing": {"discard": {}}},
        [
            outbox_to("nothing"),
            {"from": "public.unpublished", "shape": {"payload": "body"}, "to": "nothing"},
        ],
    )
    log = refused(relay(settings, start=False))
    assert "table public.unpublished" in log and "ADD TABLE" in log


def test_a_column_that_a_route_uses_and_the_table_lacks_is_named(db, relay):
    db.sql("CREATE TABLE mail (id int, body text)")
    db.sql(f"ALTER PUBLICATION {db.publication} ADD TABLE mail")
    settings = config(
        db,
        {"nothing": {"discard": {}}},
        [
            outbox_to("nothing"),
            {"from": "public.mail", "shape": {"payload": "bodi"}, "to": "nothing"},
        ],
    )
    process = relay(settings)
    # At start if the relay looks, else at the first row: never silently, and nothing is lost.
    db.sql("INSERT INTO mail VALUES (1, 'x')")
    process.wait_log('column "bodi"')
    until(
        lambda: not process.running() or process.get("/readyz")[0] == 503, what="it is refused"
    )


@pytest.mark.every_major
def test_a_missing_publication_is_exit_2(db, relay):
    db.sql(f"DROP PUBLICATION {db.publication}")
    log = refused(relay(to_discard(db), start=False))
    assert f'publication "{db.publication}": it does not exist' in log
    assert "walrelay sql -c FILE --apply" in log


def test_a_publication_without_inserts_is_exit_2(db, relay):
    db.sql(f"ALTER PUBLICATION {db.publication} SET (publish = 'update')")
    assert "doesn't publish inserts" in refused(relay(to_discard(db), start=False))


def test_a_database_without_the_schema_is_exit_2_with_the_command_that_makes_it(empty_db, relay):
    empty_db.sql(f"CREATE ROLE {empty_db.relay_user} LOGIN REPLICATION")
    log = refused(relay(to_discard(empty_db), start=False))
    assert "does not exist" in log and re.search("walrelay sql .*--apply", log)


def test_a_missing_database_is_exit_2(db, relay):
    settings = to_discard(db)
    settings["source"]["conninfo"] = db.cluster.dsn("wr_not_there", db.relay_user)
    log = refused(relay(settings, start=False))
    assert 'database "wr_not_there" does not exist' in log and "dbname" in log


@pytest.mark.every_major
def test_a_role_without_replication_is_exit_2_with_the_statement_that_mends_it(db, relay):
    db.sql(f"ALTER ROLE {db.relay_user} NOREPLICATION")
    log = refused(relay(to_discard(db), start=False))
    assert "REPLICATION" in log and "ALTER ROLE" in log


@pytest.mark.every_major
def test_a_role_without_rights_to_the_record_is_exit_2(db, relay):
    db.sql(f"REVOKE walrelay_relay FROM {db.relay_user}")
    log = refused(relay(to_discard(db), start=False))
    assert "permission denied" in log and "walrelay sql --apply" in log


def test_a_wrong_password_is_exit_2_and_is_not_echoed(guarded_db, relay):
    guarded_db.sql(f"ALTER ROLE {guarded_db.relay_user} PASSWORD 'right'")
    restrict(guarded_db, "scram-sha-256")
    settings = to_discard(guarded_db)
    settings["source"]["conninfo"] += " password=wr0ng-c4nary"
    log = refused(relay(settings, start=False))
    assert "password authentication failed" in log and "check user and password" in log
    assert "wr0ng-c4nary" not in log
    settings["source"]["conninfo"] = guarded_db.dsn(user=guarded_db.relay_user, password="right")
    relay(settings).wait_ready()


def test_a_missing_password_is_exit_2(guarded_db, relay):
    guarded_db.sql(f"ALTER ROLE {guarded_db.relay_user} PASSWORD 'right'")
    restrict(guarded_db, "scram-sha-256")
    nowhere = {"PGPASSFILE": "/nonexistent/passfile"}
    settings = to_discard(guarded_db)
    settings["source"]["conninfo"] = guarded_db.dsn(user=guarded_db.relay_user)
    log = refused(relay(settings, start=False, environment=nowhere))
    assert "no password supplied" in log and "passfile" in log


def test_a_role_that_pg_hba_rejects_is_exit_2(guarded_db, relay):
    restrict(guarded_db, "reject")
    log = refused(relay(to_discard(guarded_db), start=False))
    assert "pg_hba.conf" in log and guarded_db.relay_user in log


@pytest.mark.every_major
def test_wal_level_replica_is_exit_2_with_the_setting(new_cluster, relay):
    database = new_cluster(wal_level="replica").database()
    database.install_schema()
    database.create_relay_role()
    log = refused(relay(to_discard(database), start=False))
    assert "wal_level is replica, it must be logical" in log
    assert "ALTER SYSTEM SET wal_level = logical" in log


@pytest.mark.every_major
def test_a_server_that_is_not_there_yet_is_waited_for(new_cluster, new_db, relay):
    database = new_db(new_cluster())
    database.cluster.stop()
    process = relay(to_discard(database))
    process.wait_log("Connection refused")
    process.wait_not_ready("Connection refused")
    database.cluster.start()
    process.wait_ready(20)
