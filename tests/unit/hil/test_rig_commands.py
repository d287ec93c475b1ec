"""`pumpbench rig`: time and syringe of an emulated pump from a shell, and files that name no bench."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.errors import BadConfiguration
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["rig", *arguments])


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[str]:
    """A file with the ready line of a bench."""
    bench = ThreadBench(seed=1)
    path = tmp_path / "ready.json"
    path.write_text(json.dumps(bench.ready) + "\n")
    yield str(path)
    bench.close()


def test_time_passes_fluid_comes_and_goes_and_the_state_says_so(ready: str) -> None:
    assert run("advance", "24:00", "--ready", ready).output == "the bench stands at 1 d\n"
    assert run("aspirate", "1.5", "--ready", ready).output == "1.5 mL came out\n"
    assert run("fill", "0.5", "--concentration", "500", "--ready", ready).output == "0.5 mL went in\n"
    seen = json.loads(run("state", "--ready", ready).output)
    assert (seen["now_ms"], seen["powered"]) == (86_400_000, True)
    assert seen["belief"]["reservoir_calc_nl"] == 17_400_000, (
        "18 mL and a day of 0.6 mL; the syringe it does not see"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "does not begin with a ready line"),
        ("[" * 100_000, "does not begin with a ready line"),
        ('{"ready": true}', "does not begin with a ready line"),
        ('{"control": "http://127.0.0.1:1", "token": 5}', "does not begin with a ready line"),
        ('{"control": ["http://127.0.0.1:1"], "token": "a"}', "does not begin with a ready line"),
        ('{"control": null, "token": null}', "has no rig control; start it with --control 127.0.0.1:0"),
    ],
    ids=[
        "none",
        "empty",
        "nested",
        "without a place",
        "a number for a token",
        "a list for a place",
        "without rig control",
    ],
)
def test_a_file_that_names_no_bench_is_said_with_what_would(
    content: str | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "ready.json"
    if content is not None:
        path.write_text(content)
    error = run("state", "--ready", str(path)).exception
    assert isinstance(error, BadConfiguration)
    assert sentence in error.one_line()


def test_a_span_is_hours_and_minutes(ready: str) -> None:
    done = run("advance", "24", "--ready", ready)
    assert done.exit_code == 2
    assert "write 6:00 for six hours" in done.output
