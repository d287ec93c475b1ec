"""The session report: what the pump does not tell is said, and a pump that does not run is no completed visit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from hil.cli import main
from hil.cli.configuration_command import ITEMS
from hil.cli.report_command import IN_INFO, UNKNOWN, WIDTH
from hil.errors import BadConfiguration
from hil.plugin import verifies

PROGRAMS = Path(__file__).parents[3] / "fixtures/programs"
EMULATOR = ("--target", "emulator")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["program", *arguments])


def page(*arguments: str) -> list[str]:
    """The lines of a report, each space one."""
    done = run("report", *arguments)
    assert done.exception is None, done.output
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def document(*arguments: str) -> Any:
    return json.loads(run("report", *arguments, "--json").stdout)


def test_an_observer_is_told_what_his_key_may_not_read() -> None:
    lines = page(*EMULATOR, "--role", "observer")
    hidden = [name for name, item in ITEMS.items() if item.config_id not in IN_INFO]
    of_the_log = ["granted", "denied (logged: 12 a day)"]
    told = [line for line in lines if line.endswith(UNKNOWN)]
    assert told == [f"{name} {UNKNOWN}" for name in [*hidden, *of_the_log]]
    assert document(*EMULATOR, "--role", "observer")["configuration"] == []
    assert len(document(*EMULATOR)["configuration"]) == len(ITEMS)


# RH-18
@verifies("PRC-012")
def test_a_stopped_pump_is_an_incomplete_visit(on_a_port: tuple[str, str]) -> None:
    assert "result completed" in page(*on_a_port)
    run("stop", "--yes", "--leave-stopped", *on_a_port)
    assert "result INCOMPLETE: the pump is in STOP, and its program does not run" in page(*on_a_port)
    assert document(*on_a_port)["completed"] is False


def test_a_difference_at_the_last_refill_stands_in_the_head(on_a_port: tuple[str, str]) -> None:
    run("refill", "--filled", "18", "--aspirated", "13", "--yes", *on_a_port)
    text = " ".join(page(*on_a_port))
    assert "heed INVESTIGATE before the pump runs: 5 mL less than expected came out at the refill" in text
    assert "aspirated 13 mL where 18 mL was expected: 5 mL less" in text
    assert document(*on_a_port)["investigate"].startswith("INVESTIGATE")


def test_settings_of_before_stand_beside_those_of_now(on_a_port: tuple[str, str], tmp_path: Path) -> None:
    before = tmp_path / "before.toml"
    before.write_text(run("show", "--toml", *on_a_port).stdout)
    run("write", str(PROGRAMS / "weekdays_and_weekend.toml"), "--yes", *on_a_port)
    lines = page(*on_a_port, "--initial", str(before))
    assert "SETTINGS, INITIAL AND FINAL" in lines
    assert "initial final" in lines, "what was before the visit is not what is now"
    assert "* mode simple flexible" in lines


def test_a_running_bridge_has_what_is_left_of_it_and_its_end(on_a_port: tuple[str, str]) -> None:
    bridge = ("--program", str(PROGRAMS / "bridge.toml"), "--concentration-again", "2000", "--rinsed-twice")
    run("refill", "--filled", "18", "--aspirated", "18", *bridge, "--yes", *on_a_port)
    assert "bridge 0.338 mL of 0.338 mL left, ends in 13 h 31 min 12 s" in page(*on_a_port)
    run("stop", "--yes", "--leave-stopped", *on_a_port)
    left = "bridge 0.338 mL of 0.338 mL left, stands still; once the program runs it ends in 13 h 31 min 12 s"
    assert left in " ".join(page(*on_a_port))


def test_a_clinic_cannot_write_into_the_page_what_a_terminal_obeys() -> None:
    assert r"clinic a\x1b[2Jb\nresult completed" in page(*EMULATOR, "--clinic", "a\x1b[2Jb\nresult completed")


def test_a_file_of_before_that_is_none_is_refused_before_anything_is_read() -> None:
    error = run("report", "--initial", "/nowhere", "--target", "pty:/nowhere").exception
    assert isinstance(error, BadConfiguration)
    assert "/nowhere cannot be read" in str(error)


def test_events_begin_after_the_program_of_an_earlier_visit_unless_an_entry_is_named() -> None:
    assert "EVENTS FROM ENTRY 1 OF THE LOG" in page(*EMULATOR)
    lines = page(*EMULATOR, "--from", "6")
    assert [line.split()[0] for line in lines if line.startswith("#")] == ["#6", "#7"]
