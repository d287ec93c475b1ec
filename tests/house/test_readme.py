"""The ```console blocks of the READMEs run as written, in order, in an empty directory, and print what they show.

A ```python block that begins with `# NAME.py` lies there under that name.
A line `$ command` is run by sh; one that ends in ` &` stays in the background until the end, writes to a terminal as it
would for a reader, and is waited for until it has printed as many lines as are shown. The lines after it are what it
prints: numbers, times and hexadecimal words may differ, and `...` stands for any lines, or the rest of one. Blocks of
another kind (```sh) are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import pytest

from tests.support.patience import PATIENCE_S


class Step(NamedTuple):
    command: str
    shown: list[str]


class Background(NamedTuple):
    """What runs in the background, and the terminal that it writes to."""

    process: subprocess.Popen[bytes]
    terminal: TextIO


def steps_in(document: str) -> list[Step]:
    """Commands of all ```console blocks with what they show."""
    steps: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", document, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:], []))
            else:
                steps[-1].shown.append(line)
    return steps


def files_in(document: str) -> dict[str, str]:
    """Name and text of each ```python block that begins with its name."""
    blocks = re.findall(r"^```python\n(# (\w+\.py)\n.*?)^```", document, re.MULTILINE | re.DOTALL)
    return {name: text for text, name in blocks}


def plain(line: str) -> str:
    """The line without what may differ from run to run: numbers, long words, widths of columns, paths."""
    line = re.sub(r"(?:/[\w.-]+)+/", "PATH/", line.rstrip())
    line = re.sub(r"\b(?=\w*\d)[0-9a-f]{4,}\b|\b\d[\d.,:]*\w*", "N", line)
    line = re.sub(r"\b[0-9A-Za-z_-]{20,}\b", "WORD", line)
    return re.sub(r"[ \u2500-\u257f-]{2,}", "  ", line)


def matches(shown: list[str], printed: list[str]) -> bool:
    """True if what is shown is what was printed, but for what may differ."""
    parts = []
    for line in shown:
        if line.strip() == "...":
            parts.append("(?:.*\n)*")
        else:
            parts.append(
                re.escape(plain(line.removesuffix("..."))) + (".*\n" if line.endswith("...") else "\n")
            )
    return re.fullmatch("".join(parts), "".join(plain(line) + "\n" for line in printed)) is not None


@pytest.fixture
def background() -> Iterator[list[Background]]:
    started: list[Background] = []
    yield started
    for process, terminal in started:
        process.terminate()
        process.wait(timeout=PATIENCE_S)
        terminal.close()


def run(step: Step, place: Path, background: list[Background]) -> list[str]:
    """Run one step; the lines that it printed."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(place / "state"),
        "XDG_DATA_HOME": str(place / "data"),
    }
    if step.command.endswith(" &"):
        master, slave = os.openpty()
        process = subprocess.Popen(
            ["sh", "-c", "exec " + step.command.removesuffix(" &")], cwd=place, env=environment, stdout=slave
        )
        os.close(slave)
        terminal = os.fdopen(master)
        background.append(Background(process, terminal))
        return [terminal.readline().rstrip("\r\n") for _ in step.shown]
    done = subprocess.run(
        ["sh", "-c", step.command],
        cwd=place,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"{step.command}: {done.stderr}"
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["README.md", "hil/README.md"])
def test_the_commands_of_a_readme_print_what_it_shows(
    root: Path, tmp_path: Path, background: list[Background], name: str
) -> None:
    document = (root / name).read_text()
    for file, text in files_in(document).items():
        (tmp_path / file).write_text(text)
    steps = steps_in(document)
    assert steps, f"{name} shows no command"
    for step in steps:
        printed = run(step, tmp_path, background)
        assert matches(step.shown, printed), "\n".join([f"$ {step.command}", *printed])


def test_commands_and_what_they_show_are_found() -> None:
    document = "x\n```console\n$ a &\n{}\n$ b\none\ntwo\n```\n```sh\n$ c\n```\n"
    assert steps_in(document) == [Step("a &", ["{}"]), Step("b", ["one", "two"])]


def test_files_are_found_by_their_names() -> None:
    document = "```python\n# a.py\nprint(1)\n```\n```python\nprint(2)\n```\n"
    assert files_in(document) == {"a.py": "# a.py\nprint(1)\n"}


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["rate 600000 nL/day"], ["rate 48000 nL/day"], True),
        (["rate 600000 nL/day"], ["flow 600000 nL/day"], False),
        (["a", "...", "b"], ["a", "x", "y", "b"], True),
        (["a", "...", "b"], ["a", "x"], False),
        (["state  RUN"], ["state      RUN"], True),
        (["state  RUN"], ["state  STOP"], False),
        (["a"], ["a", "b"], False),
        (['{"ready": true, ...'], ['{"ready": true, "port": 1}'], True),
        (['{"ready": true, ...'], ['{"ready": false, "port": 1}'], False),
        (["memory 80212f560c8cb5f3"], ["memory 00b04a3153825ada"], True),
    ],
)
def test_what_may_differ_may_differ_and_nothing_else(
    shown: list[str], printed: list[str], same: bool
) -> None:
    assert matches(shown, printed) is same
