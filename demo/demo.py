"""The relay at work: a shop commits orders together with their events, an HTTP endpoint gets them.

Started by `./dev demo [--keep]`. Everything runs in a temporary folder and is gone at the end.
"""

import argparse
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

source_folder = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(source_folder / "tests" / "e2e"))

from support.cluster import Cluster  # noqa: E402
from support.processes import free_port  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.relay import Relay, binary, run_command  # noqa: E402
from support.wait import until  # noqa: E402

customers = ["ada", "bob", "cleo", "dan", "eve", "finn", "gus", "hana"]
orders_per_second = 400
flow_seconds = 3
killed_seconds = 6
kill_at = [1.5, 3.5]  # seconds into the second flow


def say(text=""):
    print(text, flush=True)


def headline(text):
    say(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


class Shop:
    """Commits orders, and remembers of each when its COMMIT was sent."""

    def __init__(self, cluster):
        self._connection = cluster.conn("shop", autocommit=False)
        self._count = 0
        self.committed = {}  # order: time.monotonic()

    def place(self, commit=True):
        """The number, customer and cents of an order that was committed, or rolled back."""
        customer = customers[self._count % len(customers)]
        cents = 500 + self._count * 37 % 9500
        self._count += 1
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT shop.place_order(%s, %s)", [customer, cents])
            [[order]] = cursor.fetchall()
        sent = time.monotonic()
        if commit:
            self._connection.commit()
            self.committed[order] = sent
        else:
            self._connection.rollback()
        return order, customer, cents

    def flow(self, seconds, events=()):
        """Orders at a steady rate; `events` are (time, action) that happen meanwhile."""
        events = list(events)
        start = time.monotonic()
        pause = threading.Event()
        number = 0
        while (now := time.monotonic() - start) < seconds:
            if events and now >= events[0][0]:
                events.pop(0)[1]()
            self.place()
            number += 1
            pause.wait(max(0.0, start + number / orders_per_second - time.monotonic()))

    def close(self):
        self._connection.close()


class Deliveries:
    """What the endpoint has been sent: the first arrival of each order, and how many came again."""

    def __init__(self, receiver):
        self._receiver = receiver
        self._read = 0
        self.first = {}  # order: its request
        self.again = 0

    def update(self):
        requests = self._receiver.requests
        while self._read < len(requests):
            request = requests[self._read]
            self._read += 1
            if request.path != "/orders":
                continue
            order = json.loads(request.body)["order"]
            if order in self.first:
                self.again += 1
            else:
                self.first[order] = request
        return self

    def wait_for(self, orders, deadline=20):
        with contextlib.suppress(AssertionError):  # what is missing is counted as lost
            until(lambda: self.update().first.keys() >= orders, deadline)


class Tail:
    """`walrelay tail` until it has seen so many events."""

    def __init__(self, file, count):
        self._process = subprocess.Popen(
            [binary(), "tail", "-c", str(file), "--count", str(count)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process.stderr.readline()  # says that it follows

    def output(self):
        try:
            return self._process.communicate(timeout=20)[0]
        finally:
            self._process.kill()


def settings(cluster, url):
    return {
        "admin": {"listen": f"127.0.0.1:{free_port()}"},  # a test's own has a token
        "source": {
            "conninfo": cluster.dsn("shop", "walrelay", socket=True),
            "slot": "walrelay",
            "publication": "walrelay",
        },
        "sinks": {
            "shipping": {"http": {"url": f"{url}/{{topic}}"}},
            "workers": {"http": {"url": f"{url}/jobs/{{queue}}"}},
            "mailer": {"http": {"url": f"{url}/mail"}},
        },
        "routes": [
            {"from": "walrelay.outbox", "to": "shipping"},
            {"from": "walrelay.dispatch", "to": "workers"},
            {
                "from": "shop.mail_outbox",
                "shape": {
                    "id": "{mail_id}",
                    "key": "{customer}",
                    "type": "mail.{template}",
                    "payload": "body",
                    "headers": "meta",
                },
                "to": "mailer",
            },
        ],
    }


class Demo:
    def __init__(self, folder):
        self._ends = contextlib.ExitStack()
        self.cluster = self._ends.enter_context(contextlib.closing(Cluster()))
        self.receiver = self._ends.enter_context(contextlib.closing(Receiver()))
        self.deliveries = Deliveries(self.receiver)
        self.relay = self._ends.enter_context(
            contextlib.closing(Relay(settings(self.cluster, self.receiver.url), folder))
        )
        self.prepare()
        self.shop = self._ends.enter_context(contextlib.closing(Shop(self.cluster)))
        self.rows = []

    def close(self):
        self._ends.close()

    def prepare(self):
        self.cluster.sql("CREATE DATABASE shop")
        self.cluster.sql("CREATE ROLE walrelay LOGIN REPLICATION")
        self.cluster.psql("-f", str(source_folder / "demo" / "legacy.sql"), dbname="shop")
        done = run_command(
            "sql", "-c", self.relay.file, "--apply", "--conninfo", self.cluster.dsn("shop")
        )
        if done.returncode:
            sys.exit(f"walrelay sql --apply: exit {done.returncode}\n{done.stderr}")
        self.cluster.psql("-f", str(source_folder / "demo" / "shop.sql"), dbname="shop")
        self.relay.start()
        self.relay.wait_ready()

    # Acts

    def single_orders(self):
        headline("A committed order arrives")
        for _ in range(4):
            order, customer, cents = self.shop.place()
            self.deliveries.wait_for({order})
            self.show_arrival(order, customer, cents)

    def show_arrival(self, order, customer, cents):
        request = self.deliveries.first.get(order)
        if request is None:
            say(f"  order {order}  {customer:<5} {cents / 100:6.2f}  has not arrived")
            return
        milliseconds = (request.at - self.shop.committed[order]) * 1e3
        say(
            f"  order {order}  {customer:<5} {cents / 100:6.2f}  committed, and"
            f" {milliseconds:4.1f} ms later: {request.method} {request.path}"
            f" {request.headers.get('webhook-id', '')}"
        )

    def rolled_back_order(self):
        headline("A rolled-back order never does")
        lost, customer, cents = self.shop.place(commit=False)
        say(f"  order {lost}  {customer:<5} {cents / 100:6.2f}  rolled back")
        order, customer, cents = self.shop.place()
        self.deliveries.wait_for({order})
        self.show_arrival(order, customer, cents)
        came = lost in self.deliveries.update().first
        say(
            f"  order {lost}  "
            + ("ARRIVED, which is wrong" if came else "is not there, and never will be")
        )
        if came:
            sys.exit(1)

    def steady_flow(self):
        headline(f"{orders_per_second} orders a second, for {flow_seconds} s")
        self.count_flow("steady flow", lambda: self.shop.flow(flow_seconds))

    def killed_flow(self):
        headline(f"The same for {killed_seconds} s, and the relay is killed with -9 on the way")
        events = []
        for at in kill_at:
            events += [(at, self.kill_relay), (at + 0.7, self.start_relay)]
        self.count_flow("killed twice", lambda: self.shop.flow(killed_seconds, events))

    def kill_relay(self):
        pid = self.relay.pid
        self.relay.kill9()
        self.deliveries.update()
        waiting = len(self.shop.committed) - len(self.deliveries.first)
        say(
            f"  kill -9 {pid}: {len(self.deliveries.first)} orders have arrived,"
            f" {waiting} are on their way; the shop goes on"
        )

    def start_relay(self):
        self.deliveries.update()
        missing = len(self.shop.committed) - len(self.deliveries.first)
        self.relay.start()
        say(f"  started again as {self.relay.pid}: {missing} committed orders wait in the WAL")

    def count_flow(self, name, flow):
        before, again = set(self.shop.committed), self.deliveries.again
        flow()
        orders = self.shop.committed.keys() - before
        self.deliveries.wait_for(orders)
        arrived = orders & self.deliveries.first.keys()
        taken = sorted(
            self.deliveries.first[order].at - self.shop.committed[order] for order in arrived
        )
        self.rows.append(
            (
                name,
                len(orders),
                len(arrived),
                len(orders) - len(arrived),
                self.deliveries.again - again,
                percentile(taken, 0.5),
                percentile(taken, 0.99),
            )
        )

    def table(self):
        headline("What became of them")
        say(
            f"  {'':<14}{'committed':>10}{'delivered':>11}{'lost':>6}{'again':>7}"
            f"{'p50':>11}{'p99':>11}"
        )
        for name, committed, delivered, lost, again, p50, p99 in self.rows:
            say(
                f"  {name:<14}{committed:>10}{delivered:>11}{lost:>6}{again:>7}"
                f"{duration(p50):>11}{duration(p99):>11}"
            )
        say(
            "\n  Times are from COMMIT to the request. What was sent and not yet recorded when the relay"
            "\n  was killed is sent again, under the same webhook-id; orders committed while it was dead"
            "\n  waited for its return."
        )
        return not any(row[3] for row in self.rows)

    def work_and_mail(self):
        headline("One transaction: an order, its event, a workflow for the worker, a legacy mail")
        say("  BEGIN; … walrelay.emit(…) … walrelay.enqueue_workflow(…) …")
        say("  INSERT INTO shop.mail_outbox …; COMMIT\n")
        tail = Tail(self.relay.file, 3)
        before = len(self.receiver.requests)
        order = self.cluster.value("SELECT shop.order_and_send('ada', 1999)", dbname="shop")
        arrived = self.receiver.wait_for(before + 3)[before:]
        for request in sorted(arrived, key=lambda request: request.path):
            say(f"  {request.method} {request.path:<14} {request.body.decode()}")
            for name in ("webhook-id", "idempotency-key", "x-walrelay-key", "x-walrelay-type"):
                if name in request.headers:
                    say(f"       {name + ':':<17}{request.headers[name]}")
        missing = {"/orders", "/jobs/parcels", "/mail"} - {request.path for request in arrived}
        if missing or not all(json.loads(one.body) for one in arrived):
            sys.exit(f"order {order}: {', '.join(missing)} got nothing")
        headline("`walrelay tail` saw the same on a slot of its own, and delivered nothing")
        say(tail.output())
        headline("`walrelay status`")
        say(run_command("status", "-c", self.relay.file).stdout)

    def keep(self):
        headline("It is all still running")
        say(f"""  place an order        psql "{self.cluster.dsn('shop', socket=True)}" \\
                          -c "select shop.place_order('you', 1999)"
  what the relay says   curl {self.relay.admin}/status
                        {binary()} status -c {self.relay.file}
  kill the relay        kill -9 {self.relay.pid}
  start it again        {binary()} run -c {self.relay.file}
  end everything        Ctrl-C

Orders that arrive are shown here:""")
        shown = len(self.receiver.requests)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                until(lambda: len(self.receiver.requests) > shown, float("inf"), every=0.05)
                request = self.receiver.requests[shown]
                shown += 1
                say(f"  {request.method} {request.path}  {request.body.decode()}")


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def duration(seconds):
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wr-demo-") as folder:
        say("Starting a private Postgres, the shop's endpoint and the relay")
        with contextlib.closing(Demo(folder)) as demo:
            say(
                f"Ready after {time.monotonic() - start:.1f} s;"
                " outbox, publication and slot were made by `walrelay sql --apply`"
            )
            demo.single_orders()
            demo.rolled_back_order()
            demo.steady_flow()
            demo.killed_flow()
            complete = demo.table()
            demo.work_and_mail()
            if options.keep:
                demo.keep()
            elif not complete:
                say(demo.relay.log()[-3000:])
    return 0 if complete else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
