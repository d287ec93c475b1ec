"""The test of the tests: with a rule taken out of the pump or the programmer, the same checkers must cry out.

Token, ledger and response cache cover each other: taking out one or two of them is masked, and taking out all
three gives a second bolus. An id that is stored after the motor makes liars of everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from firmware_emu.pump import Pump
from hil.noise import Direction
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from protocol.codec.layouts import decode, encode
from protocol.identifiers import Opcode, Role
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import development_key
from protocol.link.events import Response, SessionOpened, Unknown
from protocol.log.types import LogName
from protocol.messages.log import LogRead, LogReadReply
from tests.simulation.link_checkers import check_everything
from tests.simulation.link_commands import COMMIT_IS_FRAME
from tests.simulation.link_mutants import (
    CrcBlind,
    CrcBlindProgrammer,
    ForgetfulProgrammer,
    IdAfterMotor,
    WithoutCache,
    WithoutLedger,
    WithoutRef,
    WithoutToken,
    without_rules,
)
from tests.simulation.link_random import Mix, Story
from tests.simulation.operators import Operator
from tests.simulation.scenario import Violation, World, simulated_profile
from tests.support.client import next_event
from tests.support.soak import part_of, rounds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


LATE_MS = (100, 700, 2_000, 4_000, 6_000, 9_000, 20_000)
SHORT_BOLUS_NL = 500
SHORT_BOLUS_S = 3
SEEDS = 12
SEEDS_WITHOUT_HARM = rounds_of("stories of rules that cover for each other", 12, 6)
ALL_THREE = (WithoutToken, WithoutLedger, WithoutCache)


def late_copy(pump_class: type[Pump], late_ms: int) -> None:
    """The COMMIT is late, its repeat was executed; somebody still listens when the first one arrives."""
    world = World(pump_class=pump_class)
    operator = Operator(world, programmer_class=ForgetfulProgrammer)
    operator.programmer.connect()
    operator.line.delay(Direction.TO_PUMP, late_ms, skip=COMMIT_IS_FRAME)
    operator.gives_bolus(SHORT_BOLUS_NL, shortest_s=SHORT_BOLUS_S)
    operator.line.check_all_fired()
    listen(operator, 2 * LATE_MS[-1])
    check_everything(world, [operator])


def listen(operator: Operator, ms: int) -> None:
    """Take in what arrives, and let what is late go its way."""
    until_ms = operator.world.now_ms + ms
    while operator.world.now_ms < until_ms:
        operator.line.receive(until_ms)


def violations(play: Callable[[int], None], cases: Sequence[int]) -> list[str]:
    """What the checkers said, case by case."""
    said = []
    for case in cases:
        try:
            play(case)
        except Violation as violation:
            said.append(str(violation))
    return said


def story_on(pump_class: type[Pump], *, power_cuts: bool = False) -> Callable[[int], None]:
    mix = Mix(power_cuts=power_cuts, second_person=False, boluses_only=True)
    return lambda seed: Story(seed, mix, pump_class=pump_class).play()


def test_the_real_pump_gives_a_late_copy_nothing() -> None:
    assert violations(lambda ms: late_copy(Pump, ms), LATE_MS) == []
    assert violations(story_on(Pump, power_cuts=True), range(SEEDS_WITHOUT_HARM)) == []


@pytest.mark.parametrize(
    "rules",
    [
        (WithoutToken,),
        (WithoutLedger,),
        (WithoutCache,),
        (WithoutToken, WithoutLedger),
        (WithoutToken, WithoutCache),
    ],
    ids=lambda rules: " ".join(rule.__name__ for rule in rules),
)
def test_token_ledger_and_cache_cover_for_each_other(rules: tuple[type, ...]) -> None:
    mutant = without_rules(*rules)
    assert violations(lambda ms: late_copy(mutant, ms), LATE_MS) == []
    assert violations(story_on(mutant), range(SEEDS_WITHOUT_HARM)) == []


def test_without_all_three_more_is_delivered_than_was_announced_and_it_is_seen() -> None:
    said = violations(lambda ms: late_copy(without_rules(*ALL_THREE), ms), LATE_MS)
    assert any("1000 nL were delivered" in text and "announced_nl=500" in text for text in said), said


def test_an_id_that_is_stored_after_the_motor_makes_liars_and_they_are_seen() -> None:
    said = violations(story_on(without_rules(IdAfterMotor), power_cuts=True), range(SEEDS))
    lies = [text for text in said if "outcome='NEVER_RECEIVED'" in text and "1 entries of its effect" in text]
    assert lies, said
    assert any("contradicts itself" in text for text in said), "where it had said RUNNING, it is not believed"


def flipped_commit(
    pump_class: type[Pump], programmer_class: type[Programmer], way: Direction, bit: int
) -> None:
    """One bit of the COMMIT or of its answer is flipped, on a line without tags."""
    world = World(pump_class=pump_class, profile=simulated_profile(secured=False))
    operator = Operator(world, programmer_class=programmer_class)
    operator.programmer.connect()
    operator.line.flip(way, bit, skip=COMMIT_IS_FRAME)
    operator.gives_bolus(2_000)
    operator.line.check_all_fired()
    check_everything(world, [operator])


# outcome and its neighbours; a sample of the rest
FLIPPED_BITS = part_of("flipped bits", (*range(104, 140), *range(140, 300, 7)), one_in=2)


@pytest.mark.parametrize("way", Direction, ids=lambda way: way.value)
def test_with_a_crc_no_flipped_bit_makes_a_liar_of_anybody(way: Direction) -> None:
    assert violations(lambda bit: flipped_commit(Pump, Programmer, way, bit), FLIPPED_BITS) == []


def test_a_pump_that_ignores_the_crc_is_seen() -> None:
    blind = without_rules(CrcBlind)
    assert violations(lambda bit: flipped_commit(blind, Programmer, Direction.TO_PUMP, bit), FLIPPED_BITS)


def test_a_programmer_that_ignores_the_crc_is_seen() -> None:
    assert violations(
        lambda bit: flipped_commit(Pump, CrcBlindProgrammer, Direction.FROM_PUMP, bit), FLIPPED_BITS
    )


def wrong_pages(end_class: type[ClientEnd]) -> list[str]:
    """A client that keeps its session after giving up reads the log over a line with late answers."""
    world = World()
    line = world.new_line()
    end = end_class(key=development_key(Role.CLINICIAN), entropy=SeededEntropy(1))
    end.open(0)
    assert isinstance(next_event(end, line), SessionOpened)
    line.delay(Direction.FROM_PUMP, 5_000, 3)
    line.drop(Direction.FROM_PUMP, 2)
    wrong = []
    for seq in range(1, 6):
        end.request(Opcode.LOG_READ, encode(LogRead(LogName.MAIN, 0, seq, 1, 0)), world.now_ms)
        match next_event(end, line):
            case Response(payload=payload):
                page = decode(LogReadReply, payload)
                if page.from_seq != seq:
                    wrong.append(f"asked for {seq}, took the page of {page.from_seq}")
            case Unknown():
                pass
            case event:
                raise AssertionError(event)
    line.check_all_fired()
    return wrong


def test_each_answer_is_taken_for_the_question_that_it_names() -> None:
    assert wrong_pages(ClientEnd) == []


def test_a_client_that_does_not_look_at_ref_is_seen() -> None:
    assert "asked for 2, took the page of 1" in wrong_pages(WithoutRef)
