"""A private PostgreSQL cluster in a temporary folder."""

import contextlib
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import psycopg2

from . import canary, downloads
from .processes import accepts, alive, descendants, free_port, kill, send, spawn
from .wait import until

source_folder = pathlib.Path(__file__).resolve().parents[3]
default_settings = {
    "wal_level": "logical",
    "fsync": "off",
    "max_prepared_transactions": "10",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%d %a ",
}
_stop_signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_names = itertools.count(1)


def debian_postgres():
    """The folder of the newest PostgreSQL that Debian installed."""
    found = sorted(
        downloads.installed_postgres.glob("*/bin/initdb"),
        key=lambda path: int(path.parts[-3]),
    )
    if not found:
        raise RuntimeError("no PostgreSQL server: install postgresql (./dev test does)")
    return found[-1].parent.parent


class Cluster:
    """A server with logical decoding, trust for everybody, on 127.0.0.1 and a socket of its folder.

    `version=None` is Debian's own; another major is fetched. Settings are added to default_settings
    (fsync is off there: turn it on where the server crashes).
    """

    def __init__(self, version=None, **settings):
        self._user = "postgres" if os.geteuid() == 0 else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wr-pg-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        self.port = free_port()
        self.socket_folder = str(self.folder)
        self._process = None
        try:
            self._programs = (
                debian_postgres() if version is None else downloads.postgres_programs(version)
            )
            if self._user:
                account = pwd.getpwnam(self._user)
                for path in (self.folder, self.data):
                    os.chown(path, account.pw_uid, account.pw_gid)
            self._run(
                "initdb",
                "--no-sync",
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
                str(self.data),
            )
            self.configure(**{**default_settings, **settings})
            self.start()
        except BaseException:
            self.close()
            raise

    def _run(self, program, *arguments):
        options = (
            {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        )
        subprocess.run(
            [str(self._programs / "bin" / program), *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            **options,
        )

    def configure(self, **settings):
        """Adds settings to postgresql.conf; they count from the next start or reload on."""
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")

    # Life cycle

    def start(self, deadline=30):
        with open(self.folder / "server.log", "ab") as log:
            self._process = spawn(
                [
                    str(self._programs / "bin" / "postgres"),
                    "-D",
                    str(self.data),
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    f"port={self.port}",
                    "-c",
                    f"unix_socket_directories={self.socket_folder}",
                ],
                user=self._user,
                death_signal=signal.SIGQUIT,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        until(self._answers, deadline, lambda: f"the server answers\n{self.log()[-2000:]}")

    def _answers(self):
        assert self._process.poll() is None, f"the server ended:\n{self.log()[-2000:]}"
        if not accepts(self.port):
            return False
        try:
            self.conn("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def stop(self, mode="fast", timeout=20):
        """Asks the server to stop; AssertionError if it is still up after the timeout."""
        self._process.send_signal(_stop_signals[mode])
        self.wait_stopped(timeout, f"the server stops in mode {mode}")

    def wait_stopped(self, timeout, what="the server stops"):
        until(lambda: self._process.poll() is not None, timeout, what)
        kill(self._process)

    def ask_stop(self, mode="fast"):
        """Sends the stop signal and returns at once; see wait_stopped."""
        self._process.send_signal(_stop_signals[mode])

    def restart(self, mode="fast", timeout=20):
        self.stop(mode, timeout)
        self.start()

    def kill9(self):
        """A crash: every process of the server gets SIGKILL, and none is begun meanwhile."""
        send(self._process.pid, signal.SIGSTOP)
        family = [self._process.pid, *descendants(self._process.pid)]
        for pid in family:
            send(pid, signal.SIGKILL)
        kill(self._process)
        until(lambda: not any(alive(pid) for pid in family), 10, "the server's processes are gone")

    def reload(self):
        self._process.send_signal(signal.SIGHUP)

    def log(self):
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def close(self):
        """Ends the server and removes its folder."""
        if self._process:
            kill(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Access

    def dsn(self, dbname="postgres", user="postgres", socket=False, **more):
        """A libpq connection string; over TCP unless `socket`."""
        host = self.socket_folder if socket else "127.0.0.1"
        parts = {"host": host, "port": self.port, "dbname": dbname, "user": user, **more}
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def conn(self, dbname="postgres", user="postgres", autocommit=True, **more):
        """A psycopg2 connection; the caller closes it."""
        connection = psycopg2.connect(self.dsn(dbname, user, **more))
        connection.autocommit = autocommit
        return connection

    def sql(self, statement, parameters=None, dbname="postgres", user="postgres"):
        """Runs one statement on a connection of its own; the rows, or None where it has none."""
        with contextlib.closing(self.conn(dbname, user)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else None

    def value(self, statement, parameters=None, **where):
        """The first column of the only row."""
        [[first, *_]] = self.sql(statement, parameters, **where)
        return first

    def psql(self, *arguments, dbname="postgres", user="postgres", script=None):
        """psql's output, with ON_ERROR_STOP; AssertionError with its errors if it fails."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(dbname, user), *arguments],
            input=script if script is not None else "",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"psql: exit {done.returncode}\n{done.stderr}"
        return done.stdout

    def database(self, template="template0"):
        """A new, empty database (or a copy of the template) under a name that was never used."""
        name = f"wr_{os.getpid()}_{next(_names)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return Database(self, name)


class Database:
    """A database of a cluster; its slot, publication and the relay's role bear its name."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.slot = self.publication = name
        self.relay_user = f"{name}_relay"

    def dsn(self, user="postgres", **more):
        return self.cluster.dsn(self.name, user, **more)

    def conn(self, user="postgres", autocommit=True, **more):
        return self.cluster.conn(self.name, user, autocommit, **more)

    def sql(self, statement, parameters=None, user="postgres"):
        return self.cluster.sql(statement, parameters, self.name, user)

    def value(self, statement, parameters=None):
        return self.cluster.value(statement, parameters, dbname=self.name)

    def psql(self, *arguments, user="postgres", script=None):
        return self.cluster.psql(*arguments, dbname=self.name, user=user, script=script)

    def install_schema(self):
        """Runs the numbered files of sql/."""
        files = sorted((source_folder / "sql").glob("[0-9]*.sql"))
        assert files, "sql/ holds no numbered files"
        self.psql(*(part for file in files for part in ("-f", str(file))))

    def create_relay_role(self):
        """The login role of the relay: REPLICATION, and what walrelay_relay may."""
        self.sql(f"CREATE ROLE {self.relay_user} LOGIN REPLICATION IN ROLE walrelay_relay")

    def publish(self, *tables):
        """Makes the publication as `walrelay sql` does: inserts only, under the roots' names."""
        self.sql(
            f"CREATE PUBLICATION {self.publication} FOR TABLE {', '.join(tables)}"
            " WITH (publish = 'insert', publish_via_partition_root = true)"
        )

    def create_slot(self):
        self.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self.slot])

    def slot_state(self):
        """active_pid and confirmed_flush_lsn (as bytes since 0/0) of the slot."""
        [row] = self.sql(
            "SELECT active_pid, (confirmed_flush_lsn - '0/0')::int8"
            " FROM pg_replication_slots WHERE slot_name = %s",
            [self.slot],
        )
        return row

    def wal_position(self, cursor=None):
        """Where the server will write next, as bytes since 0/0; within the cursor's transaction."""
        statement = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8"
        if cursor is None:
            return self.value(statement)
        cursor.execute(statement)
        return cursor.fetchone()[0]

    def drop(self):
        """Drops slots, database and role; whoever uses them is thrown out.

        Asserts that what the relay wrote down there holds no secret.
        """
        try:
            self.look_for_secrets()
        finally:
            self._drop()

    def look_for_secrets(self):
        tables = self.sql(
            "SELECT oid::regclass::text FROM pg_class WHERE oid IN"
            " (to_regclass('walrelay.progress'), to_regclass('walrelay.parked'),"
            " to_regclass('walrelay.redrive'))"
        )
        rows = {name: str(self.sql(f"SELECT t::text FROM {name} t")) for [name] in tables}
        canary.look_for(rows)

    def _drop(self):
        self.cluster.sql(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
            " WHERE database = %s AND active_pid IS NOT NULL",
            [self.name],
        )
        until(
            lambda: not self.cluster.sql(
                "SELECT 1 FROM pg_replication_slots WHERE database = %s AND active_pid IS NOT NULL",
                [self.name],
            ),
            what=f"the slots of {self.name} are free",
        )
        self.cluster.sql(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE database = %s",
            [self.name],
        )
        for [gid] in self.cluster.sql(
            "SELECT gid FROM pg_prepared_xacts WHERE database = %s", [self.name]
        ):
            self.sql("ROLLBACK PREPARED %s", [gid])
        self.cluster.sql(f"DROP DATABASE {self.name} WITH (FORCE)")
        self.cluster.sql(f"DROP ROLE IF EXISTS {self.relay_user}")
