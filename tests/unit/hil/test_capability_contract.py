"""What a target promises: refused where no instrument gives it, and where the handshake says otherwise."""

from __future__ import annotations

import re
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.address import parse
from hil.bench_session import BenchSession
from hil.capabilities import TargetCapability, parse_needs
from hil.capability_contract import IMPOSSIBLE, Promise, contradiction
from hil.errors import BadConfiguration, BenchLost
from hil.preflight import look_at, results
from hil.programmer.programmer import Programmer
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from hil.targets.replayed import ReplayedTarget
from hil.targets.schemes import SCHEMES, Scheme
from protocol.identifiers import DeviceKind
from tests.support.stand_in_board import StandInBoard
from tests.unit.hil.test_boards_on_the_command_line import SERIAL, lab

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_of_test import TestBench
    from hil.targets.target import Target
    from protocol.messages.reading import GetInfoReply
    from tests.unit.hil.test_boards_on_the_command_line import Lab

__all__ = ["lab"]

CLINIC_DAY = Path(__file__).parents[3] / "fixtures" / "sessions" / "clinic_day.pcapng"
RELAY = '[targets.rig1.instruments.relay]\nkind = "power"\non = "relay on"\noff = "relay off"'
MAGNET = '[targets.rig1.instruments.magnet]\non = "servo on"\noff = "servo off"'


def session_with(lab: Lab, claimed: str, instruments: str = "") -> BenchSession:
    lab.write(more=f"capabilities = {claimed}\n{instruments}")
    return BenchSession(parse("bench:rig1"))


@pytest.mark.parametrize(
    ("claimed", "instruments", "said"),
    [
        ('["reset"]', "", r"says reset, .*; reset is given by an instrument of kind reset: write \[targets.rig1.ins"),
        ('["power"]', MAGNET, r"kind http-outlet or labgrid or power or uhubctl: write \[targets.rig1.instruments.h"),
        ('["faults"]', RELAY, "faults is given by an instrument of kind magnet or stall"),
        ('["truth"]', RELAY, "truth is of emulators alone: leave it out"),
        ('["power", "time", "balance"]', RELAY, "says balance, time, and .* balance is given .*; time is"),
    ],
)  # fmt: skip
def test_a_bench_file_that_claims_what_no_instrument_gives_is_refused_with_who_gives_it(
    claimed: str, instruments: str, said: str, lab: Lab
) -> None:
    with pytest.raises(BadConfiguration, match=said) as caught:
        session_with(lab, claimed, instruments)
    assert str(caught.value).startswith(f"{lab.directory}/pumpbench.toml: targets.rig1.capabilities says ")


def test_a_memory_that_each_test_would_replace_is_no_identity(lab: Lab) -> None:
    lab.write(
        serial=f'{SERIAL}", memory_id = "00000000000000ab',
        more='[targets.rig1.instruments.reset]\ncommand = "x"',
    )
    with pytest.raises(
        BadConfiguration, match="identity names a memory_id, and an instrument of rig1 gives the pump"
    ):
        BenchSession(parse("bench:rig1"))


@pytest.mark.parametrize(
    ("claimed", "instruments", "can"),
    [('["power"]', RELAY, ("power",)), ('["faults"]', MAGNET, ("faults",)), ("[]", RELAY, ("power",))],
)
def test_what_an_instrument_gives_may_be_claimed(
    claimed: str, instruments: str, can: tuple[str, ...], lab: Lab
) -> None:
    assert session_with(lab, claimed, instruments).capabilities >= parse_needs(can)


def promised(*names: str, kind: str = "") -> Promise:
    return Promise("bench:rig1", parse_needs(names), kind)


def info_of(bench: TestBench, kind: DeviceKind) -> GetInfoReply:
    return Programmer(bench.line).info()._replace(kind=kind)


@pytest.mark.parametrize(
    ("promise", "answers", "said"),
    [
        (promised("power", "truth"), DeviceKind.HARDWARE, "promises truth, and what answers there is hardware: "),
        (promised("power"), DeviceKind.REPLAY, "promises power, and what answers there is replay: a replay says what"),
        (promised(kind="hardware"), DeviceKind.EMULATOR, "kind hardware answers at bench:rig1, and it is"),
        (promised(kind="emulator"), DeviceKind.HARDWARE, "kind emulator answers at .* it is hardware"),
        (promised("power", "reset", kind="hardware"), DeviceKind.HARDWARE, ""),
        (promised(*TargetCapability), DeviceKind.EMULATOR, ""),
        (promised(), DeviceKind.REPLAY, ""),
    ],
)  # fmt: skip
def test_a_promise_that_the_handshake_contradicts_is_one_sentence(
    promise: Promise, answers: DeviceKind, said: str, bench: TestBench
) -> None:
    found = contradiction(promise, info_of(bench, answers))
    assert bool(found) is bool(said)
    assert re.search(said, found)


def test_every_kind_of_device_is_judged_or_can_all() -> None:
    assert set(IMPOSSIBLE) | {DeviceKind.EMULATOR} == set(DeviceKind)


def test_the_preflight_finds_the_contradiction(bench: TestBench, tmp_path: Path) -> None:
    seen = look_at(Programmer(bench.line), tmp_path, promised("power", kind="hardware"))
    (row,) = [each for each in results(seen) if each.name == "capabilities"]
    assert (row.state, row.found) == ("unfit", "power")
    assert row.problem.startswith("the bench file says that kind hardware answers")


def test_the_kind_that_has_to_answer_comes_from_the_bench_file(lab: Lab) -> None:
    text = (lab.directory / "pumpbench.toml").read_text()
    (lab.directory / "pumpbench.toml").write_text(
        text.replace("identity = {", 'identity = {kind = "hardware", ')
    )
    with (
        closing(BenchSession(parse("bench:rig1"))) as session,
        pytest.raises(
            BenchLost, match=r"capabilities: the bench file says that kind hardware .* it is emulator"
        ),
    ):
        session.preflight(None)


def test_a_reset_that_leaves_the_old_memory_ends_with_7_before_the_first_test(lab: Lab) -> None:
    lab.write(more='[targets.rig1.instruments.reset]\ncommand = "true"')
    with (
        closing(BenchSession(parse("bench:rig1"))) as session,
        pytest.raises(
            BenchLost, match=r"promises reset, and after it the pump has the memory that it had"
        ) as caught,
    ):
        session.preflight(None)
    assert caught.value.exit_code == 7


def test_a_reset_that_makes_a_new_pump_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with StandInBoard() as board:
        board.bench_file(tmp_path, reset=board.reset(tmp_path))
        with closing(BenchSession(parse("bench:rig1"))) as session:
            session.preflight(None)


class LyingTarget(ReplayedTarget):
    """A package's kind of target that promises new pumps, and has a recording."""

    capabilities = parse_needs(("reset",))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda text: LyingTarget(text, CLINIC_DAY),
            "lab: promises reset, and what answers there is replay: a replay says",
        ),
        (lambda _text: EmulatedTarget(PumpChoice()), ""),
    ],
)
def test_a_kind_of_target_that_makes_its_pumps_is_held_against_the_handshake_too(
    make: Callable[[str], Target], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = Scheme("lab", "lab:", lambda _text, _place: None, lambda text, _place, _choice: make(text))
    monkeypatch.setitem(SCHEMES, "lab", scheme)
    with (
        closing(BenchSession(parse("lab:"))) as session,
        pytest.raises(BenchLost, match=said) if said else nullcontext(),
    ):
        session.preflight(None)
