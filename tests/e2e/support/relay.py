"""The relay's real binary, started with a configuration of the test's own."""

import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.error
import urllib.request

from . import canary
from .cluster import source_folder
from .processes import alive, free_port, kill, spawn, stopped
from .wait import until


def binary():
    path = pathlib.Path(os.environ.get("WALRELAY_BIN") or source_folder / "build/release/walrelay")
    if not path.exists():
        raise RuntimeError(f"{path} is missing: run ./dev build, or set WALRELAY_BIN")
    return str(path)


def config(database, sinks, routes, source=None, **sections):
    """A sink map for a database of support.cluster, as the relay's own role over TCP.

    It holds a secret (support.canary), which everything that is shown is searched for.
    """
    settings = {
        "source": {
            "conninfo": database.dsn(user=database.relay_user),
            "slot": database.slot,
            "publication": database.publication,
            "exit_delay": "0s",
            **(source or {}),
        },
        "sinks": sinks,
        "routes": routes,
        **sections,
    }
    return canary.plant(settings)


def run_command(*arguments, deadline=60, environment=None):
    """`walrelay ARGUMENTS`, to its end: a CompletedProcess with text output."""
    done = subprocess.run(
        [binary(), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=deadline,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    canary.look_for({f"stdout of {arguments}": done.stdout, f"stderr of {arguments}": done.stderr})
    return done


class Relay:
    """`walrelay run` with a configuration (a dict); its log is kept over restarts.

    `under` is a command that ends by becoming the relay, such as prlimit. stdout and stderr go to
    files of the folder unless others are given.
    """

    def __init__(self, settings, folder, arguments=(), environment=None, under=(), **streams):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "walrelay.yaml"
        self._arguments = [str(argument) for argument in arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._under = under
        self._streams = streams
        self._process = None
        self.configure(settings)

    def configure(self, settings):
        """Writes the configuration of the next start.

        Without `admin` it gets a free port and a token, which get() sends.
        """
        own = {"listen": f"127.0.0.1:{free_port()}", "token": canary.reference}
        settings = {"admin": own, **settings}
        self.admin_section = settings["admin"]
        self.admin = f"http://{self.admin_section['listen']}"
        self.write(settings)

    def write(self, settings):
        # JSON is YAML, and quotes every text.
        self.file.write_text(json.dumps(settings, indent=2), encoding="utf-8")

    # Life cycle

    @property
    def pid(self):
        return self._process.pid

    def start(self, wait=False):
        with open(self.folder / "stderr", "ab") as errors, open(
            self.folder / "stdout", "ab"
        ) as output:
            self._process = spawn(
                [*self._under, binary(), "run", "-c", str(self.file), *self._arguments],
                env=self._environment,
                **{"stdout": output, "stderr": errors, **self._streams},
            )
        if wait:
            self.wait_ready()
        return self

    def running(self):
        return self._process is not None and alive(self._process.pid)

    def stop(self, deadline=30):
        """SIGTERM; the exit code."""
        self._process.terminate()
        return self.wait_exit(deadline)

    def terminate(self):
        """SIGTERM, without waiting; see wait_exit."""
        self._process.terminate()

    def interrupt(self):
        """SIGINT, as Ctrl-C sends it, without waiting."""
        self._process.send_signal(signal.SIGINT)

    def wait_exit(self, deadline=30):
        """The exit code, once the relay has ended by itself."""
        until(
            lambda: self._process.poll() is not None,
            deadline,
            lambda: f"the relay ends\n{self.log()[-2000:]}",
        )
        kill(self._process)
        return self._process.returncode

    def kill9(self):
        kill(self._process)

    def reload(self, settings=None):
        """Writes the configuration, if one is given, and sends SIGHUP: True once it is in use."""
        before = len(re.findall(r"reloaded[:,]", self.log()))
        if settings is not None:
            self.write({**settings, "admin": self.admin_section})
        self.hang_up()
        seen = until(
            lambda: re.findall(r"(not )?reloaded[:,]", self.log())[before:],
            30,
            lambda: f"the reload ends\n{self.log()[-2000:]}",
        )
        return seen[0] == ""

    def hang_up(self):
        """SIGHUP, without waiting."""
        self._process.send_signal(signal.SIGHUP)

    def pause(self):
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self):
        """Kills it, and asserts that no secret was in anything that it showed."""
        try:
            self.look_for_secrets()
        finally:
            if self._process:
                kill(self._process)

    def look_for_secrets(self):
        shown = {}
        for name in ("stderr", "stdout"):
            file = self.folder / name
            shown[name] = file.read_bytes() if file.exists() else b""
        if self.running():
            shown["arguments"] = pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes()
            if not stopped(self.pid) and self.get("/healthz")[0]:
                for path in ("/readyz", "/status", "/metrics"):
                    shown[path] = self.get(path)[1]
        canary.look_for(shown)

    # What it says

    def log(self):
        return (self.folder / "stderr").read_text(encoding="utf-8", errors="replace")

    def output(self):
        """What it wrote on stdout: the events of the sink `stdout`, one JSON object each."""
        text = (self.folder / "stdout").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_log(self, pattern, deadline=30):
        """The first match of the regular expression in the log."""
        return until(
            lambda: re.search(pattern, self.log()),
            deadline,
            lambda: f"the log says {pattern!r}\n{self.log()[-3000:]}",
        )

    def get(self, path, token=None, patience=20):
        """The status and body of an answer of the admin endpoint; (0, '') while it isn't there.

        `token=""` sends none.
        """
        if token is None and self.admin_section.get("token") == canary.reference:
            token = canary.text
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.admin + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self):
        return self.get("/readyz")[0] == 200

    def wait_ready(self, deadline=30):
        def look():
            assert self._process.poll() is None, f"the relay ended:\n{self.log()[-3000:]}"
            return self.ready()

        until(
            look,
            deadline,
            lambda: f"the relay is ready: {self.get('/readyz')}\n{self.log()[-3000:]}",
        )
        return self

    def wait_not_ready(self, reason, deadline=30):
        """The text of /readyz, once it is 503 and matches the regular expression."""

        def look():
            code, text = self.get("/readyz")
            return code == 503 and re.search(reason, text) and text

        return until(
            look, deadline, lambda: f"not ready because of {reason!r}: {self.get('/readyz')}"
        )

    def status(self):
        code, text = self.get("/status")
        assert code == 200, f"/status: {code} {text}\n{self.log()[-2000:]}"
        return json.loads(text)

    def delivered(self, sink):
        """How many events the sink has delivered since the relay started."""
        [figures] = [entry for entry in self.status()["sinks"] if entry["name"] == sink]
        return figures["delivered"]

    def wait_settled(self, deadline=30):
        """Until all that was read is delivered, recorded and acknowledged.

        What is committed and not read yet isn't waited for: a test sees first that it has come.
        """

        def settled():
            status = self.status()
            nothing_waits = status["in_flight_events"] == 0 == status["replay_events"]
            return nothing_waits and status["acked"] == status["recorded"]

        until(settled, deadline, lambda: f"all is acknowledged: {self.get('/status')[1]}")

    def metrics(self):
        """Every sample of /metrics: 'name{labels}' to its value."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    # What it costs

    def cpu_seconds(self):
        """User and system time that the process has used."""
        with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self):
        """The largest resident set so far, in bytes."""
        with open(f"/proc/{self._process.pid}/status", encoding="ascii") as file:
            [line] = [line for line in file if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
