"""A real Kafka broker, one KRaft node in a temporary folder, and a consumer."""

import base64
import dataclasses
import itertools
import os
import pathlib
import shutil
import signal
import tempfile
import time
import uuid

import confluent_kafka
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from . import downloads
from .processes import accepts, free_port, kill, run_quietly, spawn
from .wait import until

_names = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Record:
    """A record as the consumer got it; headers are (name, bytes or None) in their order."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: list
    at: float  # time.monotonic() of its arrival here

    def header(self, name):
        """The only header of that name, as text."""
        [value] = [value for given, value in self.headers if given == name]
        return value.decode()


class Broker:
    """Listens on 127.0.0.1. Keywords are added to server.properties, `_` standing for a dot."""

    def __init__(self, **properties):
        if not shutil.which("java"):
            raise RuntimeError("java is missing: install default-jre-headless (./dev test does)")
        self._classes = f"{downloads.kafka_jars()}/*"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wr-kafka-", dir="/tmp"))
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._process = None
        self._admin = None
        try:
            self._configure({name.replace("_", "."): value for name, value in properties.items()})
            self._format()
            self.start()
        except BaseException:
            self.close()
            raise

    def _configure(self, properties):
        controller = f"127.0.0.1:{free_port()}"
        listeners = self._listeners(controller)
        addresses = [f"{name}://{address}" for name, (_, address) in listeners.items()]
        protocols = [f"{name}:{protocol}" for name, (protocol, _) in listeners.items()]
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": ",".join(addresses),
            "listener.security.protocol.map": ",".join(protocols),
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # After a crash the node has to outwait its own old session before it may register again.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            **properties,
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "server.properties").write_text(text, encoding="ascii")

    def _listeners(self, controller):
        """Name to protocol and address."""
        return {"PLAINTEXT": ("PLAINTEXT", self.bootstrap), "CONTROLLER": ("PLAINTEXT", controller)}

    def _java(self, main, *arguments, heap="512m"):
        return [
            "java",
            f"-Xmx{heap}",
            "-XX:TieredStopAtLevel=1" if heap == "64m" else "-XX:+UseG1GC",
            "-cp",
            self._classes,
            main,
            *arguments,
        ]

    def _format(self, *arguments):
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        properties = str(self.folder / "server.properties")
        run_quietly(
            self._java(
                "kafka.tools.StorageTool",
                *("format", f"--cluster-id={cluster}", "-c", properties),  # it may begin with -
                *arguments,
                heap="64m",
            ),
            "the broker's folder can't be formatted",
            cwd=self.folder,
        )

    # Life cycle

    @property
    def pid(self):
        return self._process.pid

    def start(self, deadline=60):
        with open(self.folder / "server.log", "ab") as log:
            self._process = spawn(
                self._java("kafka.Kafka", str(self.folder / "server.properties")),
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        until(
            self._answers, deadline, lambda: f"the broker answers\n{self.log()[-2000:]}", every=0.1
        )

    def _answers(self):
        assert not self.ended(), f"the broker ended:\n{self.log()[-2000:]}"
        if not accepts(self.port):
            return False
        try:
            return bool(self.admin().list_topics(timeout=1).brokers)
        except confluent_kafka.KafkaException:
            return False

    def stop(self, timeout=30):
        """Asks the broker to stop and waits for it."""
        self._process.terminate()
        until(self.ended, timeout, "the broker stops")
        kill(self._process)

    def kill(self):
        """A crash of the broker's process; what it had acknowledged is in the page cache."""
        kill(self._process)

    def ended(self):
        """Whether the broker's process has ended, by itself or not."""
        return self._process.poll() is not None

    def pause(self):
        """The broker keeps its connections and answers nothing until resume()."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self._process.pid, signal.SIGCONT)

    def log(self):
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def close(self):
        if self._process:
            kill(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Topics and records

    def admin(self):
        if not self._admin:
            self._admin = AdminClient(
                {
                    "bootstrap.servers": self.bootstrap,
                    "log_level": 2,
                    "reconnect.backoff.max.ms": 200,
                }
            )
        return self._admin

    def create_topic(self, name=None, partitions=4, **configs):
        """Creates a topic, by default under a new name, and waits for its leaders."""
        name = name or f"topic-{next(_names)}"
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=configs)
        self.admin().create_topics([topic])[name].result(30)
        until(
            lambda: self._has_leaders(name, partitions), 30, f"topic {name} has leaders", every=0.05
        )
        return name

    def change_topic(self, name, **configs):
        """Gives a topic these options, as in create_topic(), and no others; the broker knows them."""
        changes = {key.replace("_", "."): str(value) for key, value in configs.items()}
        topic = ConfigResource(ConfigResource.Type.TOPIC, name, set_config=changes)
        self.admin().alter_configs([topic])[topic].result(30)

        def known():
            asked = ConfigResource(ConfigResource.Type.TOPIC, name)
            shown = self.admin().describe_configs([asked])[asked].result(30)
            return all(shown[key].value == value for key, value in changes.items())

        until(known, 30, f"{name} has its options")

    def add_partitions(self, name, partitions):
        """Lets the topic have `partitions` in all, and waits for their leaders."""
        self.admin().create_partitions([NewPartitions(name, partitions)])[name].result(30)
        until(lambda: self._has_leaders(name, partitions), 30, "the new ones have leaders")

    def delete_topic(self, name):
        self.admin().delete_topics([name])[name].result(30)
        # The controller's word is not yet the broker's, which would take records and lose them.
        until(lambda: name not in self.admin().list_topics(timeout=30).topics, 30, "it is gone")

    def _has_leaders(self, name, partitions):
        found = self.admin().list_topics(name, timeout=30).topics[name].partitions
        return len(found) == partitions and all(part.leader == 1 for part in found.values())

    def consumer(self, topic, start=confluent_kafka.OFFSET_BEGINNING, **properties):
        """A consumer of all partitions of the topic, without a group's rebalancing."""
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": uuid.uuid4().hex,
                "log_level": 2,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 200,
                **properties,
            }
        )
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, part, start) for part in partitions])
        return consumer

    def consume(self, topic, count, deadline=30):
        """At least `count` records from the beginning of the topic, in the order of their arrival.

        Records of one partition are in order. AssertionError names how many came if fewer did.
        """
        consumer = self.consumer(topic)
        records = []
        end = time.monotonic() + deadline
        try:
            while len(records) < count and time.monotonic() < end:
                records += map(_record, consumer.consume(10000, timeout=0.2))
        finally:
            consumer.close()
        assert len(records) >= count, f"{len(records)} of {count} records within {deadline:g} s"
        return records

    def everything(self, topic, deadline=30):
        """All records that the topic holds now."""
        consumer = self.consumer(topic)
        try:
            count = 0
            for part in consumer.assignment():
                low, high = consumer.get_watermark_offsets(part, timeout=10)
                count += high - low
        finally:
            consumer.close()
        return self.consume(topic, count, deadline) if count else []


def _record(message):
    if message.error():
        raise confluent_kafka.KafkaException(message.error())
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.headers() or [],
        time.monotonic(),
    )
