"""A certificate authority of the tests' own, made with openssl."""

import pathlib
import subprocess


class Authority:
    """Signs certificates that hold for 127.0.0.1 and localhost; all files lie in `folder`."""

    def __init__(self, folder, name="the tests"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self._make("ca", "-subj", f"/CN={name}")
        self.file = str(self.folder / "ca.pem")

    def issue(self, name, hosts="IP:127.0.0.1,DNS:localhost"):
        """A certificate whose subject is CN=`name`: its file and that of its key."""
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", f"subjectAltName={hosts}")
        self._make(name, "-subj", f"/CN={name}", *signed)
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def _make(self, name, *arguments):
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "60", *curve, *files, *arguments],
            cwd=self.folder,
            capture_output=True,
            check=True,
        )
