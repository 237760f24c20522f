"""The container engine of the tests: the one that answers here, else one of our own.

Our own is Debian's, unpacked into the cache and started by engine_keeper.py. Its images and layers
stay in the cache, so that the next run finds them; nothing is installed and nothing keeps running.
"""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import downloads
from support.processes import run_quietly

keeper = pathlib.Path(__file__).with_name("engine_keeper.py")
packages = ["containerd", "docker-cli", "docker-compose", "docker.io"]
programs = ["apt-get", "dpkg-deb", "iptables", "mmdebstrap", "runc"]
debian = "trixie"
shown_lines = 40  # of what a command said that failed


class Engine:
    """Runs docker's commands; `own` tells whether the engine was started by this object."""

    def __init__(self):
        self.environment = {**os.environ, "DOCKER_CLI_HINTS": "false", "COMPOSE_ANSI": "never"}
        self._keeper = None
        self._folder = None
        self._lock = None
        self.own = not self._answers()
        if self.own:
            self._start()

    def docker(self, *arguments, deadline=120, **options):
        """The output of `docker ARGUMENTS`, errors among it; RuntimeError if it fails."""
        done = self._run(arguments, deadline, **options)
        if done.returncode:
            command = " ".join(map(str, arguments))
            last = "\n".join(done.stdout.splitlines()[-shown_lines:])
            raise RuntimeError(f"docker {command}: exit {done.returncode}\n{last}")
        return done.stdout

    def succeeds(self, *arguments, deadline=120):
        """Whether `docker ARGUMENTS` does."""
        return self._run(arguments, deadline).returncode == 0

    def _run(self, arguments, deadline, **options):
        return subprocess.run(
            ["docker", *map(str, arguments)],
            env={**self.environment, **options.pop("environment", {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=options.pop("stderr", subprocess.STDOUT),
            text=True,
            errors="replace",
            timeout=deadline,
            check=False,
            **options,
        )

    def _answers(self):
        if not shutil.which("docker") or not self.succeeds("info", "--format", "{{.ID}}"):
            return False
        # A client without an engine says so, and yet ends well.
        if not self.docker("info", "--format", "{{.ServerVersion}}").strip():
            return False
        if not self.succeeds("compose", "version"):
            raise RuntimeError(
                "an engine answers, but `docker compose` does not: install Docker Compose 2"
            )
        return True

    def _start(self):
        missing = [program for program in programs if not _find(program)]
        if missing:
            raise RuntimeError(
                "no container engine answers (`docker info`), and to start one of our own"
                f" {', '.join(missing)} must be there (on Debian 12 and 13 ./dev test --compose"
                " installs them): start Docker, or give this user the right to use it"
            )
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        if as_root and subprocess.run(["sudo", "-n", "true"], check=False).returncode:
            raise RuntimeError(
                "no container engine answers (`docker info`), and to start one of our own takes"
                " root: run this as root or with sudo that asks for no password, or start Docker"
            )
        unpacked = unpack()
        self._lock = open(downloads.cache() / "docker.lock", "w", encoding="ascii")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # another run's engine has the same images
        # The path of a socket has at most 107 bytes.
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="wr-docker-", dir="/tmp"))
        plugins = self._folder / "config" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(
            unpacked / "usr/libexec/docker/cli-plugins/docker-compose"
        )
        path = f"{unpacked}/usr/bin:{unpacked}/usr/sbin:{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environment.update(
            PATH=path,
            DOCKER_HOST=f"unix://{self._folder}/docker.sock",
            DOCKER_CONFIG=str(self._folder / "config"),
        )
        self._keeper = subprocess.Popen(
            [
                *as_root,
                sys.executable,
                keeper,
                self._folder,
                downloads.cache() / "docker",
                str(os.getgid()),
                path,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        said = self._keeper.stdout.readline().strip()
        if said != "ready":
            self.close()
            raise RuntimeError(f"the container engine doesn't start: {said}")
        self._remove_leftovers()

    def _remove_leftovers(self):
        """What a run left that was killed: the engine starts such containers with itself."""
        if left := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", "--volumes", *left)
        self.docker("network", "prune", "--force")
        self.docker("volume", "prune", "--all", "--force")

    def close(self):
        """Stops the engine if it is our own."""
        if self._keeper:
            self._keeper.stdin.close()
            self._keeper.stdout.read()
            self._keeper.wait(60)
            self._keeper = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock:
            self._lock.close()


def _find(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def mirror():
    """The address of the Debian mirror that this host uses."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    if not listed:
        raise RuntimeError("apt knows no Debian mirror: run apt-get update")
    return listed[0]


def unpack():
    """The folder with the programs of Debian's packages, which are not installed."""
    return downloads.fetch_once(downloads.cache() / f"docker-of-{debian}", _fill)


def _fill(folder):
    """An apt of its own: sources and lists of the release that has Compose 2, not the host's."""
    state = folder.with_name(folder.name + ".apt")
    shutil.rmtree(state, ignore_errors=True)
    for part in ["lists/partial", "cache/archives/partial"]:
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb {mirror()} {debian} main\n", encoding="ascii")
    settings = {
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",
        "APT::Get::List-Cleanup": "false",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in settings.items())]
    _quietly([*apt, "update"], state)
    _quietly([*apt, "download", *packages], state)
    folder.mkdir(parents=True)
    for package in state.glob("*.deb"):
        _quietly(["dpkg-deb", "-x", package, folder], state)
    shutil.rmtree(state)


def _quietly(command, folder):
    run_quietly(command, " ".join(map(str, command)), cwd=folder)
