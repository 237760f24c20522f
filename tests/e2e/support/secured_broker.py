"""A broker that wants to know who is there: SASL over TLS, client certificates, and rights."""

import pathlib
import shutil
import socket
import struct
import tempfile

from .authority import Authority
from .broker import Broker
from .processes import free_port

# Numbers of Kafka's protocol.
_create_acls, _delete_acls = 30, 31
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
        """Gives the right to WRITE, DESCRIBE or DESCRIBE_CONFIGS a topic."""
        rules = [self._rule(topic, who, _operations[one], _allow) for one in operations]
        self._ask(_create_acls, rules)

    def forbid(self, topic, operation, who="relay"):
        """Takes the right away again."""
        self._ask(_delete_acls, [self._rule(topic, who, _operations[operation], _allow)])

    @staticmethod
    def _rule(topic, who, operation, permission):
        names = b"".join(_text(one) for one in (f"User:{who}", "*"))
        head = struct.pack(">b", _topic) + _text(topic) + struct.pack(">b", _literal)
        return head + names + struct.pack(">bb", operation, permission)

    def _ask(self, what, rules):
        """One request of version 1; confluent_kafka's old versions know none for rights."""
        body = struct.pack(">hhi", what, 1, 7) + _text("test")
        body += struct.pack(">i", len(rules)) + b"".join(rules)
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                [length] = struct.unpack(">i", answer.read(4))
                told = answer.read(length)
        number, _, count, failed = struct.unpack(">iiih", told[:14])
        assert (number, count, failed) == (7, len(rules), 0), told


def _text(text):
    return struct.pack(">h", len(text)) + text.encode()
