"""Runs Docker's engine as root, for as long as whoever started this keeps our stdin open.

usage: engine_keeper.py FOLDER DATA GROUP PATH

FOLDER gets the socket, which GROUP may use, and the log; DATA keeps images. Says `ready`, or why
not.
At the end the engine is stopped, and what it set up in the host's network is taken away again.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

forwarding = pathlib.Path("/proc/sys/net/ipv4/ip_forward")
start_deadline = 60


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def quietly(*command):
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


class Network:
    """What an engine changes of the host's network, as it was before."""

    def __init__(self):
        self._used_already = pathlib.Path("/sys/class/net/docker0").exists()
        self._forwarding = forwarding.read_text(encoding="ascii")
        self._policy = output("iptables", "-S", "FORWARD").split("\n", 1)[0]

    def restore(self):
        if self._used_already:
            return
        for table in ("nat", "filter"):
            rules = output("iptables", "-t", table, "-S").splitlines()
            for rule in rules:
                if rule.startswith("-A") and ("DOCKER" in rule or "docker0" in rule):
                    quietly("iptables", "-t", table, "-D", *rule.split()[1:])
            for rule in rules:
                if rule.startswith("-N DOCKER"):
                    quietly("iptables", "-t", table, "-X", rule.split()[1])
        if self._policy.startswith("-P"):
            quietly("iptables", *self._policy.split())
        quietly("ip", "link", "delete", "docker0")
        forwarding.write_text(self._forwarding, encoding="ascii")


def start(folder, data, group):
    with open(folder / "log", "wb") as log:
        return subprocess.Popen(
            [
                "dockerd",
                f"--host=unix://{folder}/docker.sock",
                f"--data-root={data}",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/docker.pid",
                f"--group={group}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_ready(engine, folder):
    """Until the engine says that it listens: why it didn't come to that, or nothing."""
    client = ["docker", f"--host=unix://{folder}/docker.sock", "version"]
    for _ in range(start_deadline * 4):
        try:
            code = engine.wait(0.25)
        except subprocess.TimeoutExpired:
            if subprocess.run(client, capture_output=True, check=False).returncode == 0:
                return ""
        else:
            last = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
            return f"dockerd ended with {code}: {' / '.join(last)}"
    return f"dockerd isn't ready after {start_deadline} s"


def main():
    folder, data, group, os.environ["PATH"] = sys.argv[1:]
    folder = pathlib.Path(folder)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit())
    network = Network()
    engine = start(folder, data, group)
    try:
        failure = wait_ready(engine, folder)
        print(failure or "ready", flush=True)
        if not failure:
            sys.stdin.read()
    finally:
        engine.terminate()  # it stops its containers, too
        try:
            engine.wait(45)
        except subprocess.TimeoutExpired:
            engine.kill()
        network.restore()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
