"""PgBouncer in front of a cluster, in transaction mode, with one server connection."""

import os
import pathlib
import pwd
import shutil
import signal
import tempfile

from .processes import accepts, free_port, kill, spawn
from .wait import until


class Pooler:
    """Listens on 127.0.0.1; its clients have no password, and share one connection a database."""

    def __init__(self, cluster):
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if not program:
            raise RuntimeError("pgbouncer is missing: install pgbouncer (./dev test does)")
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wr-pgbouncer-", dir="/tmp"))
        self.folder.chmod(0o755)
        # It takes no orders from root, and refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={cluster.port} user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 1\n",
            encoding="ascii",
        )
        if user:
            os.chown(self.folder, pwd.getpwnam(user).pw_uid, -1)
        self._process = None
        try:
            with open(self.folder / "log", "ab") as log:
                self._process = spawn(
                    [program, str(settings)],
                    user=user,
                    death_signal=signal.SIGTERM,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                )
            until(self._answers, 20, lambda: f"pgbouncer answers\n{self.log()}")
        except BaseException:
            self.close()
            raise

    def _answers(self):
        assert self._process.poll() is None, f"pgbouncer ended:\n{self.log()}"
        return accepts(self.port)

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def close(self):
        if self._process:
            kill(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)
