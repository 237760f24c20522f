"""The servers of the tests themselves: what is measured with them is worth what they are."""

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import xml.etree.ElementTree

import confluent_kafka
import pytest

from support.cluster import source_folder
from support.receiver import Reply
from support.wait import until


def post(connection, path, body=b"", **headers):
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer


@pytest.mark.every_major
def test_a_cluster_decodes_logically_and_survives_a_crash(new_cluster):
    server = new_cluster(fsync="on")
    server.sql("CREATE TABLE kept (id int)")
    server.sql("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    server.sql("INSERT INTO kept VALUES (1)")
    server.kill9()
    server.start()
    assert server.sql("SELECT id FROM kept") == [(1,)]
    assert server.value("SELECT count(*) FROM pg_replication_slots") == 1


@pytest.mark.every_major
def test_a_server_has_the_major_that_it_was_asked_for(cluster, major):
    assert cluster.value("SHOW server_version").startswith(f"{major}.")
    assert cluster.value("SHOW wal_level") == "logical"


def test_the_receiver_remembers_requests_in_order_and_keeps_the_connection(receiver):
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port)
    for number in range(3):
        assert post(connection, f"/{number}", b"x" * number, name="value").status == 200
    connection.close()
    assert [request.path for request in receiver.requests] == ["/0", "/1", "/2"]
    assert receiver.requests[2].body == b"xx"
    assert receiver.requests[2].headers["name"] == "value"
    assert receiver.connections == 1


def test_the_receiver_answers_as_it_is_told(receiver):
    receiver.answer(
        lambda request: Reply(503, {"retry-after": "7"}) if request.path == "/bad" else Reply()
    )
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port)
    refused = post(connection, "/bad")
    assert (refused.status, refused.headers["retry-after"]) == (503, "7")
    assert post(connection, "/good").status == 200
    receiver.answer(Reply(lost=True))
    with pytest.raises(OSError):
        post(connection, "/lost")
    assert receiver.requests[-1].path == "/lost"


def test_the_receiver_holds_an_answer_until_its_gate_opens(receiver):
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    with socket.create_connection(("127.0.0.1", receiver.port)) as client:
        client.sendall(b"POST /held HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi")
        receiver.wait_for(1)
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        gate.open()
        client.settimeout(30)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_the_receiver_takes_thousands_of_requests_on_one_connection(receiver):
    count = 5000
    with socket.create_connection(("127.0.0.1", receiver.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi" * count)
        receiver.wait_for(count)
    assert len(receiver.requests) == count


def test_records_come_back_from_the_broker_as_they_were_sent(broker):
    topic = broker.create_topic(partitions=2)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(10):
        producer.produce(topic, f"value {number}", b"key", headers=[("id", str(number))])
    producer.flush(30)
    records = broker.consume(topic, 10)
    assert [record.header("id") for record in records] == [str(number) for number in range(10)]
    assert {record.key for record in records} == {b"key"}
    assert broker.everything(topic) and len({record.partition for record in records}) == 1


def test_the_broker_makes_no_topic_by_itself_and_keeps_records_over_a_crash(new_broker):
    broker = new_broker()
    topic = broker.create_topic(partitions=1)
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": broker.bootstrap,
            "log_level": 2,
            "topic.metadata.propagation.max.ms": 500,
        }
    )
    producer.produce(topic, b"kept")
    assert producer.flush(30) == 0
    broker.kill()
    broker.start()
    assert [record.value for record in broker.everything(topic)] == [b"kept"]
    assert "never-made" not in broker.admin().list_topics(timeout=30).topics
    failures = []
    producer.produce("never-made", b"lost", on_delivery=lambda error, _: failures.append(error))
    until(lambda: producer.poll(0.1) and failures, 30, "the record for an unknown topic fails")
    assert "unknown topic" in failures[0].str().lower()


@pytest.mark.parametrize(
    ("output", "code", "passed", "failed"),
    [
        ("All tests passed (12 assertions in 3 test cases)", 0, 3, 0),
        ("All tests passed (1 assertion in 1 test case)", 0, 1, 0),
        ("test cases:  5 |  4 passed | 1 failed\nassertions: 9 | 8 passed | 1 failed", 1, 4, 1),
        ("test cases: 2 | 2 failed\nassertions: 2 | 2 failed", 2, 0, 2),
        ("test cases: 3 | 1 passed | 2 skipped\nassertions: 1 | 1 passed", 0, 1, 2),
        ("All tests passed (12 assertions in 3 test cases)\nLeakSanitizer: leaks", 23, 3, 1),
        ("Segmentation fault", -11, 0, 1),
        ("No tests ran", 0, 0, 1),
        ("No test cases matched 'x'", 0, 0, 1),
        ("each header compiles alone", 0, 1, 0),
    ],
)
def test_a_program_that_fails_crashes_or_runs_nothing_counts_as_failed(
    output, code, passed, failed
):
    place = importlib.util.spec_from_file_location("run", source_folder / "tests" / "run.py")
    run = importlib.util.module_from_spec(place)
    place.loader.exec_module(run)
    assert run.count(output, code) == (passed, failed)


def test_two_runs_share_the_files_and_run_each_test_once(tmp_path):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    files = ["tests/e2e/test_support.py", "tests/e2e/test_configuration.py"]
    chosen = ["-k", "counts_as_failed or wrong_command_lines", *files]
    runs = [
        subprocess.Popen(
            [*command, f"--junitxml={tmp_path}/{number}.xml", *chosen],
            cwd=source_folder,
            env={**os.environ, "WALRELAY_TAKEN_FILES": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for number in range(2)
    ]
    assert [run.wait(60) for run in runs] == [0, 0]
    ran = [
        case.get("classname") + case.get("name")
        for number in range(2)
        for case in xml.etree.ElementTree.parse(tmp_path / f"{number}.xml").iter("testcase")
    ]
    assert len(ran) == len(set(ran)) == 11
