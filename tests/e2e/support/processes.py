"""Child processes that never outlive the test run, and ports to run them on."""

import atexit
import ctypes
import functools
import itertools
import os
import random
import signal
import socket
import subprocess

_libc = ctypes.CDLL(None, use_errno=True)
_pr_set_pdeathsig = 1
_running = set()
_claims = []
_first_port, _last_port, _ports_of_a_run = 12000, 31999, 1000


def free_port():
    """A port on 127.0.0.1 that nothing listens on, below the range that outgoing connections use.

    A port of that range may be taken by a client while the server restarts, and a client that keeps
    connecting to it may even end up connected to itself. No other test run of this machine is given
    it, nor again by this one soon: not before its server listens, and not while that restarts.
    """
    for port in itertools.islice(_own_ports(), _ports_of_a_run):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port on 127.0.0.1 among those of this test run")


@functools.lru_cache(maxsize=None)
def _own_ports():
    """The ports of this process, in turn: its own while it keeps a socket that bears their name."""
    for first in range(_first_port, _last_port, _ports_of_a_run):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0walrelay-test-ports-{first}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        ports = list(range(first, first + _ports_of_a_run))
        random.shuffle(ports)
        return itertools.cycle(ports)
    raise RuntimeError("too many test runs at once: each needs ports of its own")


def run_quietly(command, failure, **options):
    """A command to its end; what it printed is told if it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        raise RuntimeError(f"{failure}:\n{done.stdout}")


def accepts(port):
    """Whether something listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def spawn(argv, user=None, death_signal=signal.SIGKILL, **options):
    """subprocess.Popen in a session of its own; it gets `death_signal` if the test run dies.

    Call it from the main thread: the kernel sends that signal when the calling *thread* ends.
    """

    def before_exec():
        _libc.prctl(_pr_set_pdeathsig, death_signal)

    if user:
        options.update(user=user, group=user, extra_groups=[])
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=before_exec, **options
    )
    _running.add(process)
    return process


def kill(process):
    """SIGKILL to the process and its group, and to the children that left the group; reaps it."""
    if process.poll() is None:
        children = descendants(process.pid)
        for pid in (process.pid, *children):
            send(pid, signal.SIGKILL)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    _running.discard(process)


def send(pid, number):
    """A signal to a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def descendants(pid):
    """The ids of the children of a process, and of theirs."""
    found = []
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return found
    for child in children:
        found += [child, *descendants(child)]
    return found


def _state(pid):
    """As the kernel shows it; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    """Whether a process exists and isn't a zombie."""
    return _state(pid) not in (None, "Z")


def stopped(pid):
    """Whether a process has got SIGSTOP."""
    return _state(pid) == "T"


@atexit.register
def _kill_all():
    for process in list(_running):
        kill(process)
