"""A broker that wants to know who is there: SASL over TLS, client certificates, and rights."""

import pathlib
import shutil
import socket
import struct
import tempfile

from .authority import Authority
from .broker import Broker
from .processes import free_port
from .wait import until

# Numbers of Kafka's protocol.
_describe_acls, _create_acls, _delete_acls = 29, 30, 31
_topic, _literal, _allow = 2, 3, 3
_operations = {"WRITE": 4, "DESCRIBE": 8, "DESCRIBE_CONFIGS": 10}


class SecuredBroker(Broker):
    """Listens in plain text for the test, who may do all, and for others:

    `sasl`: SASL_SSL, where `user` logs in with `password` by PLAIN or SCRAM-SHA-256.
    `mtls`: SSL, where a client shows a certificate of `authority`; "CN=…" is its name then.
    Nobody else than the test has any right until allow() gives it.
    """

    user = "relay"
    password = "S3CR3T-of-the-relay"

    def __init__(self):
        self.certificates = pathlib.Path(tempfile.mkdtemp(prefix="wr-certs-", dir="/tmp"))
        self.authority = Authority(self.certificates / "own")
        self.stranger = Authority(self.certificates / "other", "somebody else")
        certificate, key = self.authority.issue("broker")
        store = self.certificates / "broker.store.pem"
        store.write_bytes(b"".join(pathlib.Path(one).read_bytes() for one in (key, certificate)))
        self.sasl = f"127.0.0.1:{free_port()}"
        self.mtls = f"127.0.0.1:{free_port()}"
        self._store = store
        super().__init__()

    def _configure(self, properties):
        module = "org.apache.kafka.common.security"
        plain = f'{module}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
        super()._configure(
            {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",  # who comes in plain text: the test, and itself
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": self._store,
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": self.authority.file,
                "listener.name.mtls.ssl.client.auth": "required",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
                "listener.name.sasl.plain.sasl.jaas.config": plain,
                "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{module}.scram"
                ".ScramLoginModule required;",
                **properties,
            }
        )

    def _listeners(self, controller):
        return {
            "PLAINTEXT": ("PLAINTEXT", self.bootstrap),
            "SASL": ("SASL_SSL", self.sasl),
            "MTLS": ("SSL", self.mtls),
            "CONTROLLER": ("PLAINTEXT", controller),
        }

    def _format(self, *arguments):
        scram = f"SCRAM-SHA-256=[name={self.user},password={self.password}]"
        super()._format("--add-scram", scram, *arguments)

    def close(self):
        super().close()
        shutil.rmtree(self.certificates, ignore_errors=True)

    # What a client needs

    def by_password(self, mechanism="PLAIN", password=None, authority=None):
        """The settings of a Kafka sink that logs in as `user`."""
        return {
            "brokers": self.sasl,
            "properties": {
                "security.protocol": "SASL_SSL",
                "ssl.ca.location": (authority or self.authority).file,
                "sasl.mechanism": mechanism,
                "sasl.username": self.user,
                "sasl.password": password or self.password,
            },
        }

    def by_certificate(self, name=None, authority=None):
        """The settings of a Kafka sink that shows a certificate, or none without a name."""
        properties = {"security.protocol": "SSL", "ssl.ca.location": self.authority.file}
        if name:
            certificate, key = (authority or self.authority).issue(name)
            properties["ssl.certificate.location"] = certificate
            properties["ssl.key.location"] = key
        return {"brokers": self.mtls, "properties": properties}

    # Rights

    def allow(self, topic, *operations, who="relay"):
        """Gives the right to WRITE, DESCRIBE or DESCRIBE_CONFIGS a topic; the broker knows it."""
        self._change(_create_acls, [self._rule(topic, who, _operations[one]) for one in operations])

    def forbid(self, topic, operation, who="relay"):
        """Takes the right away again; the broker knows it."""
        self._change(_delete_acls, [self._rule(topic, who, _operations[operation])])

    @staticmethod
    def _rule(topic, who, operation):
        names = b"".join(_text(one) for one in (f"User:{who}", "*"))
        head = struct.pack(">b", _topic) + _text(topic) + struct.pack(">b", _literal)
        return head + names + struct.pack(">bb", operation, _allow)

    def _change(self, what, rules):
        told = self._ask(what, struct.pack(">i", len(rules)) + b"".join(rules))
        _, count, failed = struct.unpack(">iih", told[:10])
        assert (count, failed) == (len(rules), 0), told
        # The controller's word is not yet the broker's.
        for rule in rules:
            until(lambda rule=rule: self._knows(rule) == (what == _create_acls), 30, "the rights")

    def _knows(self, rule):
        told = self._ask(_describe_acls, rule)
        _, failed, text = struct.unpack(">ihh", told[:8])
        assert failed == 0, told
        [found] = struct.unpack_from(">i", told, 8 + max(text, 0))
        return found > 0

    def _ask(self, what, content):
        """One request of version 1; confluent_kafka's old versions know none for rights."""
        body = struct.pack(">hhi", what, 1, 7) + _text("test") + content
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                [length] = struct.unpack(">i", answer.read(4))
                told = answer.read(length)
        assert struct.unpack(">i", told[:4]) == (7,), told
        return told[4:]


def _text(text):
    return struct.pack(">h", len(text)) + text.encode()
