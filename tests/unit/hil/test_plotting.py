"""What a rig saw is read from its JSON and drawn; what cannot be read or drawn is said in a sentence."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hil.cli import main
from hil.errors import BadConfiguration
from hil.plotting import daily_doses
from hil.rig_recording import Sample, Span, read_recording

MS_PER_DAY = 86_400_000
FG_PPM_PER_MCG = 10**15


def state(
    now_ms: int, tip_mcg: int = 0, faults_on: tuple[str, ...] = (), *, powered: bool = True
) -> dict[str, Any]:
    truth = {
        "true_nl_ppm": 18 * 10**12, "tip_fg_ppm": tip_mcg * FG_PPM_PER_MCG, "reservoir_ng_per_ml": 500_000,
    }  # fmt: skip
    belief = {"reservoir_calc_nl": 18_000_000, "rate_nl_per_day": 600_000} if powered else None
    return {
        "schema": "pumpbench/rig-advance", "version": 1, "now_ms": now_ms, "powered": powered, "truth": truth,
        "belief": belief, "faults_on": list(faults_on),
    }  # fmt: skip


def event(kind: str, now_ms: int, **fields: object) -> dict[str, Any]:
    return {"kind": kind, "now_ms": now_ms, "line_ms": now_ms, "fields": fields, "text": kind}


def written(path: Path, *documents: object) -> Path:
    path.write_text("\n".join(json.dumps(document, indent=2) for document in documents))
    return path


def plot(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main.cli, ["plot", *map(str, arguments)])


def sample(now_ms: int, tip_mcg: int) -> Sample:
    told = state(now_ms, tip_mcg)
    return Sample(now_ms, told["truth"], told["belief"], ())


def test_states_events_and_pages_of_a_trace_are_read_from_any_files_in_any_order(tmp_path: Path) -> None:
    trace = {
        "schema": "pumpbench/rig-trace", "version": 1, "mark": 9, "lost": 0,
        "events": [
            event("FaultInjected", 10, name="mri"), event("FaultInjected", 20, name="motor-stall"),
            event("FaultInjected", 25, name="magnet"), event("FaultInjected", 26, name="pocket-fill"),
            event("AlarmRaised", 30, alarm_id="MOTOR_STALL"), event("FaultCleared", 40, name="motor-stall"),
        ],
    }  # fmt: skip
    watched = [
        {
            "schema": "pumpbench/rig-watch",
            "version": 1,
            "lost": 0,
            "event": event("AlarmCleared", 50, alarm_id="MOTOR_STALL"),
        },
        {"schema": "pumpbench/rig-watch", "version": 1, "lost": 7, "event": None},
        {
            "schema": "pumpbench/rig-watch",
            "version": 1,
            "lost": 0,
            "event": event("PowerLost", 60, cause="RIG"),
        },
    ]
    states = written(
        tmp_path / "states", state(100, 0, ("magnet",)), state(12, 0, ("mri",)), state(15), state(0)
    )
    seen = read_recording(
        [written(tmp_path / "watched", *watched), states, written(tmp_path / "trace", trace)]
    )
    assert [each.now_ms for each in seen.samples] == [0, 12, 15, 100]
    assert seen.faults == (
        Span("mri", 10, 15), Span("motor-stall", 20, 40), Span("magnet", 25, None), Span("pocket-fill", 26, 26),
    )  # fmt: skip
    assert seen.alarms == (Span("MOTOR_STALL", 30, 50),)
    assert seen.moments == (Span("power lost", 60, 60),)


def test_the_dose_of_a_day_is_the_drug_at_the_tip_between_its_midnights() -> None:
    samples = [
        sample(0, 0),
        sample(MS_PER_DAY, 300),
        sample(MS_PER_DAY, 300),
        sample(3 * MS_PER_DAY, 400),
        sample(3 * MS_PER_DAY + 9, 401),
    ]
    doses = daily_doses(samples)
    assert [each.ends_ms - each.begins_ms for each in doses] == [MS_PER_DAY, MS_PER_DAY, MS_PER_DAY, 9]
    assert [each.dose_mcg for each in doses] == [Fraction(mcg) for mcg in (300, 50, 50, 1)]
    assert daily_doses([sample(0, 0), sample(MS_PER_DAY // 2, 7)])[0].dose_mcg == Fraction(7)
    assert daily_doses([sample(5, 0)]) == []


def test_one_state_without_power_and_a_title_of_any_characters_are_a_picture(tmp_path: Path) -> None:
    states = written(tmp_path / "states", state(5, powered=False))
    done = plot(states, "--out", tmp_path / "a.svg", "--out", tmp_path / "A.PNG", "--title", "$\\frac{ <&")
    assert done.exit_code == 0, done.exception
    assert done.output == f"{tmp_path / 'a.svg'}\n{tmp_path / 'A.PNG'}\n"
    assert "$\\frac{ &lt;&amp;" in (tmp_path / "a.svg").read_text()
    again = (tmp_path / "a.svg").read_bytes()
    plot(states, "--out", tmp_path / "a.svg", "--title", "$\\frac{ <&")
    assert (tmp_path / "a.svg").read_bytes() == again, "the same data is the same file"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "no state of a pump is in what was recorded"),
        (json.dumps({"events": []}), "no state of a pump is in what was recorded"),
        (json.dumps(state(0)) + "\n{", "is no JSON from line 2 on"),
        ("[" * 100_000, "is no JSON from line 1 on"),
        ("[1]", "has a document that is no state and has no events: [1]"),
        ('{"schema": "pumpbench/rig-advance", "now_ms": 5}', "has a document that is no state and has no events"),
        ('{"schema": "pumpbench/rig-advance", "truth": 5}', "has a document that is no state and has no events"),
        (json.dumps({**state(0), "truth": {}}), "has a document that is no state and has no events"),
        (json.dumps({**state(0), "belief": {}}), "has a document that is no state and has no events"),
        (json.dumps({"events": [{"kind": "PowerLost"}]}), "has a document that is no state and has no events"),
    ],
)  # fmt: skip
def test_a_file_that_holds_nothing_to_draw_is_said(
    content: str | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "states"
    if content is not None:
        path.write_text(content)
    error = plot(path, "--out", tmp_path / "a.png").exception
    assert isinstance(error, BadConfiguration), error
    assert sentence in error.one_line()
    assert not (tmp_path / "a.png").exists()


def test_a_picture_of_another_kind_or_in_no_directory_is_refused(tmp_path: Path) -> None:
    states = written(tmp_path / "states", state(0))
    for name, sentence in (
        ("a.pdf", "ends in none of .png, .svg"),
        ("none/a.png", "cannot be written: No such file"),
    ):
        error = plot(states, "--out", tmp_path / name).exception
        assert isinstance(error, BadConfiguration), error
        assert sentence in str(error)


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    error = plot(written(tmp_path / "states", state(0)), "--out", tmp_path / "a.png").exception
    assert isinstance(error, BadConfiguration)
    assert str(error) == "a plot needs matplotlib, and it is not installed; pip install 'pumpbench[plot]'"
    assert error.exit_code == 10
