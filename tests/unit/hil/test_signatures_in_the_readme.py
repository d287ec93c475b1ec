"""The README of hil shows the signature of each fixture, and of what can be called on it, as the code has them."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from hil import plugin
from hil.bench_of_test import TestBench
from hil.channel import Channel
from hil.noise import FaultyLine
from hil.programmer.programmer import Programmer
from hil.rig import Rig
from hil.targets.target import Target
from tests.support.warm_python import HOUSE

if TYPE_CHECKING:
    from collections.abc import Callable

# What one gets of each fixture; of a class, what can be called on it is shown too.
FIXTURES: dict[str, type | Callable[..., Any]] = {
    "pump": Programmer,
    "pump_as": TestBench.open_programmer,
    "open_programmer": TestBench.open_programmer,
    "pump_rig": Rig,
    "pump_line": FaultyLine,
    "pump_channel": Channel,
    "pump_target": Target,
    "pump_bench": TestBench,
}
WIDTH = 110


def signature(name: str, function: Callable[..., Any], *, indent: str) -> str:
    """A signature as it would stand in a stub, in lines of the README's width."""
    own = inspect.signature(function)
    own = own.replace(parameters=[each for each in own.parameters.values() if each.name != "self"])
    line = f"{name}{own}".replace("'", "")
    line = re.sub(r"<(\w+)\.(\w+): \d+>", r"\1.\2", line)  # an enum's default
    return textwrap.fill(
        line, WIDTH, initial_indent=indent, subsequent_indent=indent + "    ", break_long_words=False
    )


def block() -> str:
    """What the README shows."""
    lines = []
    for name, given in FIXTURES.items():
        if not inspect.isclass(given):
            lines.append(signature(name, given, indent=""))
            continue
        lines.append(f"{name}: {given.__name__}")
        for method, function in inspect.getmembers(given, inspect.isfunction):
            if not method.startswith("_"):
                lines.append(signature(method, function, indent="    "))
    return "\n".join(lines) + "\n"


def test_every_fixture_of_the_plugin_is_in_the_table_of_this_test() -> None:
    found = {
        name
        for name, value in vars(plugin).items()
        if isinstance(value, type(plugin.pump)) and name[0] != "_"
    }
    assert found == set(FIXTURES)


def test_the_readme_shows_the_signatures_that_the_code_has() -> None:
    text = (HOUSE / "hil" / "README.md").read_text()
    shown = text.split("<!-- signatures -->\n```python\n")[1].split("```\n")[0]
    if shown != block():
        pytest.fail(f"write this into hil/README.md:\n{block()}")
