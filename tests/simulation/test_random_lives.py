"""The simulation: lives at random, from a seed, in which everything goes wrong, and the ten properties on every step.

What fails says how to see it again: `PUMPBENCH_LIFE=SEED .venv/bin/python -m pytest
tests/simulation/test_random_lives.py -k TEST`, which plays that life alone.
A life has some bad days, its share of the pairs that must be reached, and quiet months.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.faults.orders import Start
from firmware_emu.profile import EmptyPolicy
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, state_of
from hil.campaign.life import Life
from hil.campaign.life_faults import PROVOKED
from hil.campaign.pairs import LEFT_OUT, MUST_BE_REACHED, WORKS
from hil.campaign.twins import hold_the_same
from protocol.identifiers import AlarmId, OnExpiry, StopReason
from protocol.log.types import LogType
from protocol.messages.alarms import AlarmAck
from protocol.messages.stop import Stop
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.life_mutants import MUTANTS, Mutant
from tests.support.for_each import for_each
from tests.support.soak import rounds_of
from tests.support.sometimes import reaches as reaches_all
from tests.support.sometimes import sometimes
from tests.support.tally import tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PARTS = 4
"""The lives are played in so many tests, each with its share of the days and of the pairs."""
LIVES = 32
STEPS = 16
QUIET = 2
MUTANT_LIVES = 12
DAYS = 10_000
ASKED_FOR = os.environ.get("PUMPBENCH_LIFE")


def seeds(first: int, count: int) -> Sequence[int]:
    """The seeds of one test; where somebody asks for a life, that one."""
    return range(first, first + count) if ASKED_FOR is None else (int(ASKED_FOR),)


def reaches(*marks: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The marks that all lives of a test must reach; of one life that somebody asks for none is due."""
    return reaches_all(*marks if ASKED_FOR is None else ())


@contextmanager
def replayable(seed: int, test: str) -> Iterator[None]:
    """Say with whatever goes wrong how to see it again."""
    try:
        yield
    except Exception as error:
        command = f"PUMPBENCH_LIFE={seed} .venv/bin/python -m pytest tests/simulation/test_random_lives.py -k {test}"
        raise AssertionError(f"life {seed}: {type(error).__name__}: {error}\nagain: {command}") from error


def lived(seed: int) -> Life:
    """A whole life; each ordinary one has its share of the pairs."""
    with replayable(seed, "one_life"):
        life = Life(seed, empty_policy=EmptyPolicy.CONTINUE, sometimes=sometimes)
        return life.live(STEPS, MUST_BE_REACHED[seed % LIVES :: LIVES], QUIET)


def compared(seed: int, test: str, *, steps: int = STEPS, deeds: Sequence[str] = (), quiet: int = 0) -> None:
    """P4 and P10: a twin with other accuracy, spared what is invisible, is the same to everybody outside."""
    with replayable(seed, test):
        life, twin = (
            Life(seed, other_truth=other, more_deeds=deeds, sometimes=sometimes).live(steps, quiet=quiet)
            for other in (False, True)
        )
        assert life.talk.pump.truth() != twin.talk.pump.truth()
        hold_the_same(life, twin)


@pytest.mark.parametrize("part", range(PARTS))
@reaches(
    "a bolus interrupted by a power cut",
    "a bolus interrupted by an alarm",
    "a bridge under way",
    "a number that was typed wrong",
    "a patient was told GRANTED",
    "a periodic bolus begun",
    "a prime delivered",
    "a prime interrupted",
    "a pump that gave no answer",
    "a reservoir believed empty",
    "a stop that expired",
)
def test_ten_thousand_days_with_every_fault_keep_the_ten_properties_and_reach_every_pair(part: int) -> None:
    reached: set[tuple[str, str]] = set()
    days = 0
    rounds = rounds_of(f"lives at random, part {part}", every=100, ordinary=LIVES // PARTS)
    for seed in range(part, PARTS * rounds, PARTS):
        life = lived(seed)
        reached |= life.pairs
        days += life.talk.now_ms // MS_PER_DAY
    wanted = {pair for seed in range(part, LIVES, PARTS) for pair in MUST_BE_REACHED[seed::LIVES]}
    tally("random lives", {"pump-days": days, "pairs reached": len(reached & wanted)})
    missed = sorted(wanted - reached)
    assert not missed, f"never reached: {'; '.join(f'{fault} in {work}' for fault, work in missed)}"
    assert days * PARTS >= DAYS, f"{days} days were played, {DAYS // PARTS} are due"


if ASKED_FOR is not None:  # else there is none to play again

    def test_one_life_again() -> None:
        lived(int(ASKED_FOR or 0))


def test_a_program_written_before_the_power_went_may_run_after_it_however_often_one_looks() -> None:
    life = Life(7, faults=False)
    life.look()
    life.bridge()
    life.talk.pump.cut_power()
    life.look()
    life.look()
    life.talk.pump.restore_power()
    life.look()
    assert life.talk.pump.controller is not None
    program = life.talk.pump.controller.records.program
    assert program is not None
    assert program.header.bridge.volume_nl > 0, "the program of the life is in force"


def alarm_seq(talk: Conversation) -> int:
    """The number of the entry of the newest alarm."""
    return max(entry.seq for entry in talk.log() if entry.type is LogType.ALARM_ON)


STANDS: dict[str, dict[str, int]] = {
    "once": {"duration_ms": MS_PER_HOUR},
    "longer each time": {"duration_ms": 3 * MS_PER_HOUR, "times": 3, "every_ms": 90 * MS_PER_MINUTE},
    "one after another": {"duration_ms": 20 * MS_PER_MINUTE, "times": 3, "every_ms": MS_PER_HOUR},
    "until it is cleared": {"for_ms": 100 * MS_PER_MINUTE},
}


@for_each(("stands", "silenced"), list(product(STANDS, (False, True))))
def test_the_check_of_tones_knows_when_a_clock_that_stood_went_on_and_hears_what_is_missing_after(
    stands: str, silenced: bool
) -> None:
    def lived_beside_a_clock() -> None:
        life = Life(7, faults=False)
        life.talk.granted(Stop(1, 60, StopReason.MRI, OnExpiry.ALARM_ONLY))
        life.talk.wait(3 * MS_PER_MINUTE)
        life.look()
        if silenced:
            life.talk.granted(AlarmAck(AlarmId.STOP_EXPIRED, alarm_seq(life.talk)))
        given = dict(STANDS[stands])
        parameters = {name: given.pop(name) for name in ("duration_ms",) if name in given}
        life.talk.pump.inject("clock-stop", parameters, Start(after_ms=MS_PER_MINUTE), **given)
        life.talk.wait(9 * MS_PER_HOUR)
        life.look()

    lived_beside_a_clock()
    (mutant,) = [each for each in MUTANTS if each.breaks == 7]
    with pytest.MonkeyPatch.context() as patch:
        owner, name, made_from = mutant.change
        patch.setattr(owner, name, made_from(getattr(owner, name)))
        with pytest.raises(AssertionError, match="P7: "):
            lived_beside_a_clock()


def test_each_fault_has_its_part_in_lives_and_each_pair_left_out_is_one() -> None:
    assert set(PROVOKED) == set(FAULTS)
    assert {(fault in FAULTS, work in WORKS) for fault, work in LEFT_OUT} == {(True, True)}


@for_each("seed", seeds(1_000, 60), one_in=20)
def test_what_the_pump_cannot_see_changes_nothing_that_it_believes_logs_or_says(seed: int) -> None:
    compared(seed, "what_the_pump_cannot_see", quiet=seed % 2)


@for_each("seed", [3, 17])
def test_the_same_seed_is_the_same_life(seed: int) -> None:
    first, second = Life(seed).live(STEPS), Life(seed).live(STEPS)
    assert trace_bytes(first.talk.trace) == trace_bytes(second.talk.trace)
    assert state_of(first.talk.pump) == state_of(second.talk.pump)


@for_each("seed", seeds(2_000, 30), one_in=15)
def test_a_life_in_other_steps_is_the_same_life(seed: int) -> None:
    with replayable(seed, "in_other_steps"):
        once, stepped = Life(seed).live(STEPS), Life(seed, cut_into=17).live(STEPS)
        assert state_of(stepped.talk.pump) == state_of(once.talk.pump)
        assert trace_bytes(stepped.talk.trace) == trace_bytes(once.talk.trace)
        assert stepped.talk.pump.plant.to_json() == once.talk.pump.plant.to_json()


@reaches(
    "a bolus cancelled",
    "a bolus interrupted by a power cut",
    "a bolus interrupted by a stop",
    "a bolus under an old number was refused",
    "a bridge delivered",
    "a bridge replaced",
    "a bridge under way",
    "a clock that would go far was asked for, and then confirmed",
    "a number that was typed wrong",
    "a number used again",
    "a patient was told GRANTED",
    "a patient was told LOCKOUT",
    "a patient was told NOT_PROGRAMMED",
    "a patient was told STOPPED",
    "a patient's bolus suspended another",
    "a periodic bolus begun",
    "a periodic bolus passed over",
    "a prime delivered",
    "a prime interrupted",
    "a program of another drug was refused",
    "a pump stopped for too long",
    "a pump that gave no answer",
    "a refill of another concentration was refused",
    "a refill of another drug was refused",
    "a reservoir believed empty",
    "a reservoir that ran low",
    "a schedule refused because nobody knew the time",
    "a schedule without a time of day",
    "a slip in an interval was refused",
    "a slip in an interval was taken",
    "a slip of ten in a rate was refused",
    "a step of a schedule",
    "a stop that expired",
    "a warning was refused, and then accepted",
    "power went while a bolus was commanded",
    "power went while a prime was commanded",
    "work on another revision was refused",
)
@for_each("seed", seeds(3_002, 32), one_in=4)
def test_a_life_without_faults_delivers_what_it_counts(seed: int) -> None:
    """Where nothing but power goes wrong the counters are those of the rotor, and the log is whole."""
    with replayable(seed, "without_faults"):
        life = Life(seed, faults=False, sometimes=sometimes).live(4 * STEPS)
        life.tried(life.check_up)
        life.talk.pump.plant.disarm()
        assert_volumes_agree(life.talk)
        assert_log_is_whole(life.talk)


@for_each("mutant", MUTANTS, one_in=3, name=lambda mutant: f"P{mutant.breaks}: {mutant.what}")
def test_a_pump_that_breaks_a_property_is_found_by_the_check_of_that_property(mutant: Mutant) -> None:
    with pytest.MonkeyPatch.context() as patch:
        owner, name, made_from = mutant.change
        patch.setattr(owner, name, made_from(getattr(owner, name)))
        found = []
        for seed in range(MUTANT_LIVES):
            try:
                if mutant.breaks in (4, 10):
                    compared(seed, "breaks_a_property", deeds=mutant.deeds)
                else:
                    Life(seed, empty_policy=EmptyPolicy.CONTINUE, more_deeds=mutant.deeds).live(5 * STEPS)
            except AssertionError as error:
                found.append(str(error))
                if f"P{mutant.breaks}: " in found[-1]:
                    return
    pytest.fail(f"{MUTANT_LIVES} lives, and no check of P{mutant.breaks} found it; others: {found}")
