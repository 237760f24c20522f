"""docker-compose.yml as a user starts it, under a project name and on ports of the test's own."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import threading

import confluent_kafka
import psycopg2

from stand_ins import StandIns
from support.broker import Broker
from support.processes import free_port
from support.wait import until

source_folder = pathlib.Path(__file__).resolve().parents[2]
relay_image = "walrelay-test"
topic = "orders"
password = "of-the-tests"
keys = 20
build_deadline = 1500
relay_file = "/etc/walrelay/relay.yaml"
lasting = ["db", "kafka", "receiver", "relay"]  # the services that go on


class PublishedBroker(Broker):
    """The broker of the stack, as a consumer on this host sees it; others start and stop it."""

    def __init__(self, port):  # pylint: disable=super-init-not-called
        self.bootstrap = f"127.0.0.1:{port}"
        self._admin = None

    def everything(self, topic, deadline=30):
        """All records that the topic holds, once the broker, if it starts just now, can tell."""

        def look():
            try:
                return [super(PublishedBroker, self).everything(topic, deadline)]
            except confluent_kafka.KafkaException:
                return None

        [records] = until(look, deadline, f"the records of {topic} can be read", every=0.5)
        return records


class Stack:
    def __init__(self, engine):
        self._engine = engine
        self._images = StandIns(engine)
        self.project = f"walrelay-test-{os.getpid()}"
        self._postgres_port, kafka_port = free_port(), free_port()
        self.broker = PublishedBroker(kafka_port)
        self._environment = {
            "POSTGRES_PASSWORD": password,
            "POSTGRES_PORT": str(self._postgres_port),
            "KAFKA_PORT": str(kafka_port),
            "WALRELAY_IMAGE": relay_image,
        }
        self._containers = {}
        self._next_number = 0

    def compose(self, *arguments, more_files=(), **options):
        """The output of `docker compose ARGUMENTS`; errors among it, unless stderr says where to."""
        return self._engine.docker(
            "compose",
            f"--project-directory={source_folder}",
            *(f"--file={file}" for file in (source_folder / "docker-compose.yml", *more_files)),
            f"--project-name={self.project}",
            *arguments,
            environment=self._environment,
            **options,
        )

    # Life cycle

    def provide_images(self):
        """The relay's image is built as users build it, while the others are made."""
        named = set(self.compose("config", "--images", stderr=subprocess.DEVNULL).split())
        self._images.provide_base()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            built = pool.submit(
                self.compose, "--progress=plain", "build", "relay", deadline=build_deadline
            )
            for image in sorted(named - {relay_image}):
                self._images.provide(image)
            built.result()

    def up(self):
        try:
            self.compose(
                "up", "--wait", "--wait-timeout=180", "--pull=never", "--no-build", deadline=240
            )
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.compose('logs', '--tail=40')}") from error

    def run_relay(self, override=None):
        """Makes the relay's container anew, with what the file adds to docker-compose.yml."""
        options = ["--detach", "--no-deps", "--no-build", "--pull=never"]
        self.compose("up", *options, "relay", more_files=[override] if override else [])
        self._containers.pop("relay", None)

    def settings(self):
        """docker-compose.yml with its defaults filled in."""
        return json.loads(self.compose("config", "--format=json", stderr=subprocess.DEVNULL))

    def down(self):
        self.compose("down", "--volumes", "--timeout=5", deadline=180)

    def close(self):
        self.down()
        if not self._engine.own:
            self._engine.succeeds("rmi", relay_image)
        self._images.close()

    def left(self):
        """Containers, volumes and networks of the project that exist."""
        mine = f"--filter=label=com.docker.compose.project={self.project}"
        return [
            name
            for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
            for name in self._engine.docker(*kind, mine, "--quiet").split()
        ]

    # Containers

    def container(self, service):
        if service not in self._containers:
            found = self.compose("ps", "--all", "--quiet", service, stderr=subprocess.DEVNULL)
            self._containers[service] = found.strip()
        return self._containers[service]

    def state(self, service):
        """What the engine knows of a container: Status, Health, Pid, ExitCode, RestartCount."""
        [found] = json.loads(self._engine.docker("inspect", self.container(service)))
        health = found["State"].get("Health", {}).get("Status")
        return {**found["State"], "Health": health, "RestartCount": found["RestartCount"]}

    def wait_healthy(self, service, deadline=60):
        until(
            lambda: self.state(service)["Health"] == "healthy",
            deadline,
            lambda: f"{service} is healthy: {self.state(service)}\n{self.log(service)}",
            every=0.5,
        )

    def log(self, service):
        return self.compose("logs", "--no-log-prefix", "--tail=40", service)

    def kill(self, service):
        """A crash of the container's first process, which `docker kill` would take for a stop.

        From the namespace of the engine's host, which takes neither root here nor an engine here.
        """
        self._engine.docker(
            "run",
            "--rm",
            "--pid=host",
            "--user=0",
            "--network=none",
            "--entrypoint=bash",
            "postgres:17",
            "-c",
            f"kill -9 {self.state(service)['Pid']}",
        )

    def relay_is_ready(self):
        return self._engine.succeeds(
            "exec", self.container("relay"), "walrelay", "status", "--ready", "-c", relay_file
        )

    # Rows

    def connect(self):
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self._postgres_port,
            dbname="shop",
            user="postgres",
            password=password,
            connect_timeout=5,
        )
        connection.autocommit = True
        return connection

    def commit(self, count, cursor=None, each=100):
        """Commits events numbered on from the last, `each` in a transaction."""
        if cursor is None:
            with contextlib.closing(self.connect()) as connection:
                self.commit(count, connection.cursor(), each)
            return
        for _ in range(0, count, each):
            first = self._next_number
            self._next_number += each  # also if the answer is lost: then nobody knows
            cursor.execute(
                "SELECT walrelay.emit(%s, jsonb_build_object('n', n), key => 'k' || n %% %s)"
                " FROM generate_series(%s::int, %s) n",
                [topic, keys, first, first + each - 1],
            )

    def committed(self):
        """The numbers that are in the database, which knows best."""
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT (payload->>'n')::int FROM walrelay.outbox")
            return {number for [number] in cursor.fetchall()}

    def received(self):
        """(key, number, id, body) of each event that the receiver accepted, in its order."""
        printed = self._engine.docker(
            "logs", self.container("receiver"), stderr=subprocess.DEVNULL
        )
        events = [json.loads(line) for line in printed.splitlines()]
        return [
            (event["key"], json.loads(event["body"])["n"], event["id"], event["body"])
            for event in events
        ]

    def published(self):
        """The same of each record of the topic; a partition's records are in its order."""
        return [
            (
                record.key.decode(),
                json.loads(record.value)["n"],
                record.header("id"),
                record.value.decode(),
            )
            for record in sorted(
                self.broker.everything(topic), key=lambda one: (one.partition, one.offset)
            )
        ]


class Writer:
    """Commits small transactions until it is stopped; connects again when the database is back."""

    def __init__(self, stack):
        self._stack = stack
        self.committed = 0
        self._stop = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._stop.is_set():
                try:
                    self._write()
                except (psycopg2.OperationalError, psycopg2.InterfaceError):
                    self._stop.wait(0.1)
        except Exception as error:  # pylint: disable=broad-except
            self._failure = error

    def _write(self):
        with contextlib.closing(self._stack.connect()) as connection:
            cursor = connection.cursor()
            while not self._stop.is_set():
                self._stack.commit(10, cursor, each=10)
                self.committed += 10
                self._stop.wait(0.02)

    def wait_more(self, count, deadline=60):
        """Until so many more rows than now are committed."""
        goal = self.committed + count
        until(lambda: self.committed >= goal or self._failure, deadline, f"{count} rows more")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        assert self._failure is None, self._failure
