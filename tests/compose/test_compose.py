"""docker-compose.yml, run for real. The tests share one stack: all that any commits must arrive."""

import json
import subprocess

import pytest

from stack import Writer, lasting, relay_file, relay_image, source_folder
from stand_ins import base
from support.events import skips
from support.wait import until


def wait_all_arrived(stack, deadline=90):
    """Until every committed event is at both ends; (received, published)."""
    wanted = stack.committed()

    def numbers(events):
        return {number for _, number, _, _ in events}

    def missing():
        return (
            f"receiver {len(wanted - numbers(stack.received()))}, "
            f"Kafka {len(wanted - numbers(stack.published()))} of {len(wanted)}\n"
            + stack.log("relay")
        )

    until(lambda: wanted <= numbers(stack.received()), deadline, missing, every=0.5)
    until(lambda: wanted <= numbers(stack.published()), deadline, missing, every=0.5)
    received, published = stack.received(), stack.published()
    assert numbers(received) == wanted, "what was not committed came"
    assert numbers(published) == wanted, "what was not committed came"
    return received, published


def assert_in_order(events):
    """No event comes before one of its key that was committed earlier; a repeat is the same."""
    logs, first = {}, {}
    for key, number, identity, body in events:
        logs.setdefault(key, []).append(number)
        assert first.setdefault(number, (key, identity, body)) == (key, identity, body)
    for key, log in logs.items():
        assert skips(log) == [], key
        assert log[-1] == max(log), key


def assert_all_arrive_in_order(stack):
    for events in wait_all_arrived(stack):
        assert_in_order(events)


def test_one_command_brings_up_the_whole_stack_healthy(stack):
    for service in lasting:
        state = stack.state(service)
        assert (state["Status"], state["Health"]) == ("running", "healthy"), service
    assert stack.state("schema")["ExitCode"] == 0


def test_ports_are_published_on_this_host_alone_and_no_service_asks_for_privileges(stack):
    services = stack.settings()["services"]
    assert set(services) == {*lasting, "schema"}
    for name, service in services.items():
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name
        refused = {"privileged", "cap_add", "network_mode", "pid", "security_opt", "ulimits"}
        assert not refused & set(service), name
        assert service.get("restart") == ("unless-stopped" if name in lasting else None), name


def test_the_image_runs_without_root_and_adds_little_to_its_base(engine, stack):
    def shown(image, what):
        return engine.docker("image", "inspect", "--format", what, image).strip()

    assert shown(relay_image, "{{.Config.User}}") == "65532:65532"
    added = int(shown(relay_image, "{{.Size}}")) - int(shown(base, "{{.Size}}"))
    assert 0 < added < 60_000_000
    assert engine.docker("exec", stack.container("relay"), "id", "-u").strip() == "65532"


def test_ten_thousand_rows_arrive_once_at_both_ends_in_the_order_of_each_key(stack):
    before = len(stack.committed())
    stack.commit(10_000)
    assert len(stack.committed()) == before + 10_000
    for events in wait_all_arrived(stack):
        assert len(events) == before + 10_000
        assert_in_order(events)


@pytest.mark.parametrize("service", ["receiver", "kafka", "relay", "db"])
def test_a_container_may_be_restarted_while_rows_are_written(stack, service):
    with Writer(stack) as writer:
        writer.wait_more(200)
        stack.compose("restart", service)
        writer.wait_more(200)
    assert_all_arrive_in_order(stack)
    stack.wait_healthy("relay")


def test_a_database_that_is_killed_comes_back_and_loses_nothing(stack):
    with Writer(stack) as writer:
        writer.wait_more(200)
        before = stack.state("db")["RestartCount"]
        stack.kill("db")
        until(lambda: stack.state("db")["RestartCount"] > before, 60, "the engine starts it again")
        writer.wait_more(200)
    assert_all_arrive_in_order(stack)
    stack.wait_healthy("relay")


def test_a_relay_that_is_killed_is_started_again_and_loses_nothing(stack):
    with Writer(stack) as writer:
        writer.wait_more(200)
        stack.kill("relay")
        writer.wait_more(200)
    assert_all_arrive_in_order(stack)
    stack.wait_healthy("relay")


def test_while_kafka_is_down_the_receiver_gets_its_events_and_kafka_gets_its_own_later(stack):
    stack.compose("stop", "kafka")
    stack.commit(1000)
    wanted = stack.committed()
    until(
        lambda: wanted <= {number for _, number, _, _ in stack.received()},
        60,
        lambda: f"all at the receiver\n{stack.log('relay')}",
        every=0.5,
    )
    until(lambda: not stack.relay_is_ready(), 60, "the relay says that it isn't ready", every=0.5)
    stack.compose("start", "kafka")
    assert_all_arrive_in_order(stack)
    stack.wait_healthy("relay")


def test_a_relay_that_gives_up_on_the_database_is_started_again(stack, tmp_path):
    sink_map = (source_folder / "config/compose/relay.yaml").read_text(encoding="utf-8")
    assert "\nsource:\n" in sink_map
    settings = tmp_path / "relay.yaml"
    settings.write_text(
        sink_map.replace("\nsource:\n", "\nsource:\n  give_up_after: 2s\n"), encoding="utf-8"
    )
    override = tmp_path / "override.yaml"
    volumes = [f"{settings}:{relay_file}:ro,z"]
    override.write_text(
        json.dumps({"services": {"relay": {"volumes": volumes}}}), encoding="utf-8"
    )

    stack.run_relay(override)
    stack.wait_healthy("relay")
    stack.commit(100)
    stack.compose("stop", "db")
    # 7 is seen only in the moment before the engine starts it again; those moments get longer.
    until(lambda: stack.state("relay")["ExitCode"] == 7, 60, lambda: stack.log("relay"), every=0.1)
    until(lambda: stack.state("relay")["RestartCount"] > 0, 30, "the engine starts it again")
    stack.compose("start", "db")
    stack.wait_healthy("db")
    stack.commit(100)
    assert_all_arrive_in_order(stack)
    stack.run_relay()
    stack.wait_healthy("relay")


def test_a_stopped_relay_ends_well_and_its_successor_repeats_nothing(stack):
    stack.commit(100)
    counts = [len(events) for events in wait_all_arrived(stack)]
    stack.compose("stop", "relay")
    assert stack.state("relay")["ExitCode"] == 0
    stack.commit(100)
    stack.compose("start", "relay")
    assert [len(events) for events in wait_all_arrived(stack)] == [n + 100 for n in counts]


def test_the_schema_is_installed_again_without_harm(stack):
    stack.compose("run", "--rm", "--no-deps", "schema", stderr=subprocess.STDOUT)
    stack.commit(100)
    assert_all_arrive_in_order(stack)


def test_down_leaves_nothing_behind(stack):
    stack.down()
    assert stack.left() == []
