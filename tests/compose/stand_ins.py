"""The images that docker-compose.yml names, where no registry is reached: stand-ins under their tags.

They do what that file uses of the public ones, and are made of Debian's packages. An image that is
there already, or that can be pulled, is used as it is.
"""

import hashlib
import pathlib
import shutil
import tempfile

from engine import debian, mirror
from support import downloads
from support.processes import run_quietly

recipes = pathlib.Path(__file__).with_name("images")
base = "debian:trixie-slim"
folders = {
    "postgres:17": recipes / "postgres",
    "apache/kafka:4.1.0": recipes / "kafka",
    "python:3.13-slim": recipes / "python",
}
label = "walrelay.stand-in"
build_deadline = 900


class StandIns:
    """Makes what is missing; close() takes it out of an engine that isn't our own."""

    def __init__(self, engine):
        self._engine = engine
        self._made = []
        self._registry_answers = True

    def provide_base(self):
        if not self._is_there(base, debian):
            self._import_base()
            self._made.append(base)

    def provide(self, image):
        """The base has to be there before."""
        if image not in folders:
            raise RuntimeError(f"tests/compose/images has no stand-in for {image}")
        recipe = _digest(folders[image])
        if not self._is_there(image, recipe):
            with tempfile.TemporaryDirectory(prefix="wr-image-") as context:
                shutil.copytree(folders[image], context, dirs_exist_ok=True)
                if (folders[image] / "pom.xml").exists():
                    jars = downloads.kafka_jars(folders[image] / "pom.xml")
                    shutil.copytree(jars, pathlib.Path(context, "jars"))
                self._engine.docker(
                    "build",
                    f"--label={label}={recipe}",
                    f"--tag={image}",
                    context,
                    deadline=build_deadline,
                )
            self._made.append(image)

    def close(self):
        if not self._engine.own and self._made:
            self._engine.docker("rmi", *reversed(self._made))

    def _is_there(self, image, recipe):
        """A public image, or a stand-in of this recipe."""
        shown = "{{index .Config.Labels " + f'"{label}"' + "}}"
        if self._engine.succeeds("image", "inspect", image):
            found = self._engine.docker("image", "inspect", "--format", shown, image).strip()
            return found in ("", recipe)
        if self._registry_answers:
            self._registry_answers = self._engine.succeeds(
                "pull", "--quiet", image, deadline=build_deadline
            )
        return self._registry_answers

    def _import_base(self):
        if not shutil.which("mmdebstrap"):
            raise RuntimeError(
                f"{base} can't be pulled, and to make a stand-in mmdebstrap must be there"
                " (Debian 12 or 13, ./dev test --compose installs it)"
            )
        with tempfile.TemporaryDirectory(prefix="wr-image-") as folder:
            archive = pathlib.Path(folder, "root.tar")
            run_quietly(
                [
                    "mmdebstrap",
                    "--quiet",
                    "--variant=minbase",
                    "--include=ca-certificates",
                    debian,
                    archive,
                    f"deb {mirror()} {debian} main",
                ],
                "mmdebstrap failed",
            )
            self._engine.docker("import", f"--change=LABEL {label}={debian}", archive, base)


def _digest(folder):
    content = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        content.update(file.name.encode() + b"\0" + file.read_bytes())
    return content.hexdigest()[:12]
