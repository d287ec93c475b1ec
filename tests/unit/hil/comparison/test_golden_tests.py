"""Golden sessions in a user's own pytest: found by name, played at a target, compared by their rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hil.comparison.golden import adopt
from tests.support.warm_python import run_python
from tests.unit.hil.comparison.recordings import recorded
from tests.unit.hil.runs import OUR_PLUGIN, PLAIN, environment

SESSIONS = Path(__file__).parents[4] / "fixtures" / "sessions"


def adopted(recording: Path, sessions: Path, name: str, rules_path: Path | None = None) -> Path:
    return adopt(recording, sessions, name=name, rules_path=rules_path, version="0", now_s=0)


def pytest_at(directory: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "pytest", *OUR_PLUGIN, *PLAIN, "-rA", *arguments, "sessions"]
    return run_python(command, directory, environment(directory))


def test_each_session_is_a_test_that_fails_by_message_and_field_and_is_an_error_where_it_cannot_be_read(
    a_visit: Path, tmp_path: Path
) -> None:
    sessions = tmp_path / "sessions"
    otherwise = recorded(tmp_path / "b.pcapng", model={"bolus_max_nl": 400_000})
    rules = tmp_path / "own.toml"
    rule = '[[rule]]\nmessage="{}"\nfield="{}"\nrule="volatile"\nreason="another pump"\n'
    rules.write_text(rule.format("GetLimitsReply", "bolus_max_nl") + rule.format("SelfTestReply", "failed"))
    of_factory = recorded(tmp_path / "c.pcapng", lambda pump: pump.info(), profile="factory")
    adopted(a_visit, sessions, "same")
    adopted(otherwise, sessions, "otherwise")
    adopted(otherwise, sessions, "by-rule", rules)
    adopted(of_factory, sessions, "factory")
    adopted(SESSIONS / "clinic_day.pcapng", sessions, "another-serial")
    adopted(a_visit, sessions, "touched").with_name("touched.pcapng").write_bytes(b"")
    done = pytest_at(tmp_path, "--continue-on-collection-errors", "--hil-target", "emulator")
    assert done.returncode == 1, done.stdout
    for name in ("same", "by-rule", "factory", "another-serial"):
        assert f"PASSED sessions/{name}.session.toml::is_answered_as_it_was_recorded" in done.stdout
    assert "otherwise.is_answered_as_it_was_recorded (accused: device)" in done.stdout
    assert "GET_LIMITS of packet" in done.stdout
    assert "GetLimitsReply.bolus_max_nl was 400000 and is 500000" in done.stdout
    assert "clinician, key 3:" in done.stdout, "the last frames of a test that failed"
    assert "RESPONSE END_SESSION #" in done.stdout
    assert "the rule for SelfTestReply.failed never applied" in done.stdout
    assert "ERROR sessions/touched.session.toml" in done.stdout
    assert "touched.pcapng is not the recording that was adopted" in done.stdout
    assert "Traceback" not in done.stdout
    assert "4 passed" in done.stdout
    assert "1 failed" in done.stdout


def test_a_golden_session_passes_at_an_emulator_in_another_process(a_visit: Path, tmp_path: Path) -> None:
    adopted(a_visit, tmp_path / "sessions", "same")
    done = pytest_at(tmp_path, "--hil-target", "emulator:process")
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
