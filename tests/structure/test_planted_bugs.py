"""Bugs are planted for the simulator alone: the product has none of them."""

import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"
PRODUCT = pathlib.Path(os.environ.get("WALRELAY_BIN") or BUILD / "walrelay")
SIMULATOR = BUILD / "tests" / "simulation" / "simulate_planted"
HEADER = ROOT / "include" / "walrelay" / "core" / "planted.hpp"


def bugs():
    body = re.search(r"enum class bug : std::uint8_t \{(.*?)\};", HEADER.read_text(), re.S)[1]
    names = re.findall(r"^\s*(\w+),", re.sub(r"//.*", "", body), re.M)
    return [name for name in names if name not in ("none", "count_")]


def symbols(program):
    done = subprocess.run(["nm", "-C", program], capture_output=True, text=True, check=True)
    return done.stdout


def traces(program):
    """What shows that a program can be told to misbehave."""
    listed = [line for line in symbols(program).splitlines() if "planted" in line]
    held = program.read_bytes()
    return listed + [name for name in bugs() if name.encode() in held]


def test_the_product_holds_no_planted_bug():
    assert len(symbols(PRODUCT).splitlines()) > 1000, "its symbols were stripped: nothing is shown"
    assert not traces(PRODUCT)


def test_the_same_look_finds_them_in_the_simulator_that_has_them():
    found = traces(SIMULATOR)
    assert any("planted_bug" in line for line in found)
    assert set(bugs()) <= set(found)


def test_only_the_simulators_own_library_is_compiled_with_them():
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    targets = {
        re.search(r"CMakeFiles/([^/]+)\.dir/", one["command"])[1]
        for one in commands
        if "WALRELAY_PLANTED_BUGS" in one["command"]
    }
    assert targets == {"walrelay_planted", "simulate_planted", "test_planted"}


def test_each_bug_is_planted_at_one_place():
    text = "".join(
        path.read_text()
        for folder in ("src", "include", "tests/simulation")
        for path in sorted((ROOT / folder).rglob("*.[ch]pp"))
        if path != HEADER
    )
    planted = re.findall(r"planted\(bug::(\w+)\)", text)
    assert len(bugs()) >= 50
    assert sorted(planted) == sorted(bugs())
