"""The dependency rule: who may include whom, and who may know which library."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A folder may include itself and these. config/model.hpp is plain structs and open to all.
MAY_INCLUDE = {
    "core": set(),
    "pgoutput": {"core"},
    "event": {"core", "pgoutput"},
    "engine": {"core", "pgoutput", "event"},
    "intake": {"core", "pgoutput", "event", "engine"},
    "postgres": {"core", "pgoutput", "event", "engine", "intake"},
    "sink": {"core", "pgoutput", "event", "engine"},
    "config": {"core", "pgoutput", "event", "engine"},
    "admin": {"core", "pgoutput", "event", "engine"},
    "relay": {
        "core", "pgoutput", "event", "engine", "intake", "postgres", "sink", "config", "admin",
    },
    "cli": {
        "core", "pgoutput", "event", "engine", "intake", "postgres", "sink", "config", "admin",
        "relay",
    },
}
PURE = {"core", "pgoutput", "event", "engine", "intake"}
OPEN_TO_ALL = "walrelay/config/model.hpp"

# The folders that may know a library, by the beginning of its includes.
LIBRARIES = {
    "libpq-fe.h": {"postgres"},
    "librdkafka/": {"sink"},
    "yaml-cpp/": {"config"},
    "prometheus/": {"admin"},
    "boost/beast": {"sink", "admin"},
    "boost/asio": {"postgres", "sink", "admin", "relay", "cli"},
    "openssl/": {"sink", "admin"},
    "spdlog/": {"relay", "cli"},
    "CLI/": {"cli"},
    "nlohmann/": {"event", "sink", "admin", "cli"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def sources():
    for base in (ROOT / "include" / "walrelay", ROOT / "src"):
        for path in sorted(base.rglob("*.[ch]pp")):
            module = path.relative_to(base).parts[0]
            if module in MAY_INCLUDE:
                yield module, path


def broken_rules(module, path):
    for included in INCLUDE.findall(path.read_text()):
        if included == OPEN_TO_ALL:
            continue
        if included.startswith("walrelay/"):
            other = included.split("/")[1]
            if other != module and other not in MAY_INCLUDE[module]:
                yield f"{path.relative_to(ROOT)} includes {included}: {module} may not know {other}"
        for beginning, allowed in LIBRARIES.items():
            if included.startswith(beginning) and module not in allowed:
                yield f"{path.relative_to(ROOT)} includes {included}: only {sorted(allowed)} may"


def test_no_file_includes_what_its_folder_may_not_know():
    found = list(sources())
    assert len(found) > 60, "the sources were not found"
    broken = [line for module, path in found for line in broken_rules(module, path)]
    assert not broken, "\n".join(broken)


def test_pure_modules_do_no_io_and_read_no_clock():
    forbidden = re.compile(r"steady_clock::now|system_clock::now|std::(o|i)?fstream|#include <unistd|#include <sys/")
    broken = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for module, path in sources()
        if module in PURE
        for match in forbidden.finditer(path.read_text())
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    "module, text",
    [
        ("engine", '#include "walrelay/postgres/connection.hpp"'),
        ("sink", '#include "walrelay/postgres/connection.hpp"'),
        ("event", "#include <boost/asio/io_context.hpp>"),
        ("postgres", "#include <librdkafka/rdkafka.h>"),
    ],
)
def test_the_rule_can_be_broken(module, text):
    class fake:
        def read_text(self):
            return text

        def relative_to(self, _):
            return "planted.cpp"

    assert list(broken_rules(module, fake()))
