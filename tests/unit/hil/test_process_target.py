"""Our emulator as a process: ready means ready, kill -9 means kill -9, and no process is left behind."""

import contextlib
import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from hil.address import parse
from hil.errors import BadConfiguration, BenchLost, InUse, UsageError
from hil.programmer.programmer import Programmer
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from hil.targets.process import ProcessTarget
from protocol.identifiers import Outcome, State

VOLUME_NL = 20_000


def test_it_answers_right_after_it_is_ready_and_its_time_is_turned_by_hand() -> None:
    target = ProcessTarget()
    target.start()
    assert target._process is not None
    pid = target._process.pid
    with Programmer(target.open_channel()) as pump:
        assert pump.status().state is State.RUN
        bolus = pump.bolus(VOLUME_NL, 600)
        target.rig.advance(600_000)
        assert pump.query(bolus.cmd_id).outcome is Outcome.DONE
        assert target.rig.state().truth["emitted_nl_ppm"] > 0
        assert pump.wire_log.entries[-1].device_ms == 600_000
    target.close()
    wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    """Its number is given back once its exit code was taken, a moment later."""
    give_up_at_s = time.monotonic() + 30
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < give_up_at_s:
            os.kill(pid, 0)
        raise AssertionError(f"process {pid} is left behind")


def test_a_killed_emulator_comes_back_with_the_truth_about_its_bolus(tmp_path: Path) -> None:
    target = ProcessTarget(PumpChoice(image=str(tmp_path / "pump.image")))
    target.start()
    pump = Programmer(target.open_channel())
    pump.connect()
    bolus = pump.bolus(VOLUME_NL, 600)
    target.rig.advance(300_000)
    target.kill()
    with pytest.raises(BenchLost):
        pump.status()
    target.start()
    with Programmer(target.open_channel(), store=pump.store) as again:
        outcome = again.query(bolus.cmd_id)
        truth_nl = target.rig.state().truth["emitted_nl_ppm"] // 1_000_000
        basal_nl = again.delivery().basal_nl
        assert outcome.outcome is Outcome.PARTIAL
        assert (
            outcome.delivered_nl <= truth_nl - basal_nl <= outcome.delivered_nl + outcome.uncertain_nl + 500
        )
        assert again.read_log().complete
    target.close()


def test_what_is_wrong_with_its_profile_is_told_in_its_own_words(tmp_path: Path) -> None:
    target = ProcessTarget(PumpChoice(profile=str(tmp_path / "nothing.toml")))
    with pytest.raises(BadConfiguration, match=r"nothing\.toml"):
        target.start()
    target.close()


def test_an_image_that_is_in_use_is_taken(tmp_path: Path) -> None:
    choice = PumpChoice(image=str(tmp_path / "pump.image"))
    first, second = ProcessTarget(choice), ProcessTarget(choice)
    first.start()
    with pytest.raises(InUse):
        second.start()
    first.close()
    second.close()


def test_it_has_no_rig_before_it_is_started() -> None:
    target = ProcessTarget()
    with pytest.raises(UsageError, match="start"):
        _ = target.rig
    target.close()


@pytest.mark.parametrize("address", ["emulator", "emulator:process"])
@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (PumpChoice(profile="directory"), "cannot be read: Is a directory"),
        (PumpChoice(profile="bytes"), "is not UTF-8 text"),
        (PumpChoice(profile="broken"), "is not TOML"),
        (PumpChoice(profile="missing"), "no such file"),
        (PumpChoice(profile="a\0b"), "profile"),
        (PumpChoice(seed=-1), "a seed must be a whole number from 0 to"),
        (PumpChoice(seed=1 << 64), "a seed must be a whole number from 0 to"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value.seed or value.profile),
)
def test_a_pump_that_cannot_be_made_is_refused_in_one_sentence_by_every_emulator(
    address: str, choice: PumpChoice, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "broken").write_text("a = ")
    with (
        closing(make_target(parse(address), choice)) as target,
        pytest.raises(BadConfiguration, match=sentence) as caught,
    ):
        target.start()
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 10
