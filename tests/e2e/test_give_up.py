"""source.give_up_after: a relay that can't reach Postgres ends, so that a supervisor restarts it."""

from support.events import emit, to_http
from support.receiver import Reply
from support.wait import stays, until


def test_without_postgres_for_so_long_the_relay_exits_with_7(new_cluster, new_db, receiver, relay):
    server = new_cluster()
    database = new_db(server)
    process = relay(to_http(database, receiver, source={"give_up_after": "2s"})).wait_ready()
    server.stop("immediate")
    assert process.wait_exit() == 7
    process.wait_log("out of reach for 2 s")
    server.start()
    process.start(wait=True)
    emit(database, 1)
    receiver.wait_for(1)


def test_a_relay_that_is_started_without_postgres_exits_with_7_as_well(
    new_cluster, new_db, receiver, relay
):
    server = new_cluster()
    database = new_db(server)
    server.stop("immediate")
    process = relay(to_http(database, receiver, source={"give_up_after": "1s"}))
    assert process.wait_exit() == 7


def test_a_stream_that_was_cut_is_no_reason_while_postgres_answers(
    new_cluster, new_db, receiver, relay
):
    database = new_db(new_cluster(wal_sender_timeout="1s"))
    gate = receiver.gate()
    receiver.answer(Reply(gate=gate))
    process = relay(to_http(database, receiver, source={"give_up_after": "2s"})).wait_ready()
    emit(database, 1)
    receiver.wait_for(1)
    process.pause()
    until(lambda: database.slot_state()[0] is None, 20, "the server has given the frozen relay up")
    process.resume()
    process.wait_log("trying again")
    stays(process.running, 4, process.log)  # it waits for the answer before it connects
    gate.open()
    receiver.wait_for(2)
    process.wait_ready(20)


def test_a_refused_slot_keeps_its_exit_code_while_its_reason_is_shown(db, receiver, relay):
    source = {"give_up_after": "1s", "exit_delay": "2s"}
    process = relay(to_http(db, receiver, source=source)).wait_ready()
    emit(db, 1)
    receiver.wait_for(1)
    assert process.stop() == 0
    until(lambda: db.slot_state()[0] is None, what="the server has let the slot go")
    db.sql("SELECT pg_drop_replication_slot(%s)", [db.slot])
    db.create_slot()
    process.start()
    assert process.wait_exit() == 3


def test_an_outage_that_is_shorter_is_survived(new_cluster, new_db, receiver, relay):
    server = new_cluster()
    database = new_db(server)
    process = relay(to_http(database, receiver, source={"give_up_after": "60s"})).wait_ready()
    server.stop("immediate")
    process.wait_not_ready("")
    server.start()
    process.wait_ready()
    emit(database, 1)
    receiver.wait_for(1)


def test_a_relay_that_waits_for_its_slot_is_in_touch_and_stays(db, receiver, relay):
    relay(to_http(db, receiver)).wait_ready()
    second = relay(to_http(db, receiver, source={"give_up_after": "1s"}))
    second.wait_not_ready("slot")
    stays(second.running, 2.5, what="the waiting relay runs on")
