"""One story from one seed: people, commands, faults on the lines, killed programmers, power cuts; all at once.

`python -m tests.simulation.link_random SEED` tells the story of a seed again, with its last frames.
"""

from __future__ import annotations

import itertools
import random
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from firmware_emu.pump import Pump
from hil.errors import NotExecuted, OutcomeUnknown, PumpbenchError
from hil.noise import Direction
from protocol.identifiers import Role
from protocol.link.development_keys import development_key
from protocol.log.data import SessionCloseData
from protocol.log.entry import LogEntry
from protocol.log.types import BolusEndReason, LogName, LogType, SessionCloseReason
from protocol.messages.log import LogRead
from tests.simulation.link_checkers import Facts, check_everything
from tests.simulation.operators import Killed, Operator
from tests.simulation.scenario import SECOND_CLINICIAN, World
from tests.support.sometimes import sometimes

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.profile import Profile
    from hil.programmer.programmer import Programmer

    Act = Callable[[random.Random, Operator], object]

ACTS = (3, 8)
FAULTS_PER_WAY = (2, 9)
FAULT_WITHIN_FRAMES = 40
LATE_MS = (1, 300, 700, 2_000, 5_000, 12_000, 60_000)
PAUSES_MS = (0, 500, 3_000, 11_000, 130_000)
CUT_WITHIN_WRITES = 12
TORN_WITHIN_BYTES = 60


@dataclass(slots=True)
class Mix:
    """What may happen in a story."""

    power_cuts: bool = True
    stalls: bool = True
    kills: bool = True
    second_person: bool = True
    boluses_only: bool = False


@dataclass(slots=True)
class Story:
    """One seed's story as far as it has been told. `told` has a line for each thing that people did."""

    seed: int
    mix: Mix = field(default_factory=Mix)
    pump_class: type[Pump] = Pump
    profile: Profile | None = None
    told: list[str] = field(default_factory=list)
    people: list[Operator] = field(default_factory=list)

    def play(self) -> None:
        """From the first connection to the last check. AssertionError where something must not be."""
        chance = random.Random(self.seed)
        world = World(seed=self.seed, profile=self.profile, pump_class=self.pump_class)
        self.people.append(Operator(world, seed=self.seed))
        if self.mix.second_person and chance.random() < 0.5:
            other = chance.choice([SECOND_CLINICIAN, development_key(Role.PATIENT)])
            self.people.append(Operator(world, key=other, seed=self.seed))
        for operator in self.people:
            self._harm_line(chance, operator)
        for _ in range(chance.randint(*ACTS)):
            self._one_act(chance, world, chance.choice(self.people))
        self._note_ends(world, check_everything(world, self.people))

    def _harm_line(self, chance: random.Random, operator: Operator) -> None:
        line = operator.line
        for way in Direction:
            for _ in range(chance.randint(*FAULTS_PER_WAY)):
                skip = chance.randrange(FAULT_WITHIN_FRAMES)
                count = chance.choice([1, 1, 1, 2, 3, 6])
                match chance.choice(["drop", "drop", "duplicate", "delay", "delay", "hold", "swap", "flip"]):
                    case "drop":
                        line.drop(way, count, skip=skip)
                    case "duplicate":
                        line.duplicate(way, count, skip=skip, copies=chance.randint(1, 9))
                    case "delay":
                        line.delay(way, chance.choice(LATE_MS), count, skip=skip)
                    case "hold":
                        line.hold(way, count, skip=skip)
                    case "swap":
                        line.swap(way, count, skip=skip)
                    case _:
                        line.flip(way, chance.randrange(2_000), count, skip=skip)

    def _one_act(self, chance: random.Random, world: World, operator: Operator) -> None:
        if self.mix.power_cuts and chance.random() < 0.25:
            self._arm_power_cut(chance, world)
        if self.mix.stalls and chance.random() < 0.1:
            held = world.pump.plant.rotor.stall is None
            world.pump.stall_motor(held)
            self.told.append(f"{world.now_ms} ms: the rotor is {'held' if held else 'free'}")
        if self.mix.kills and chance.random() < 0.2:
            last = operator.end.operations + chance.randint(1, 14)
            operator.end.on_operation = lambda number: _die_at(number, last)
        name, act = chance.choice(BOLUSES if self.mix.boluses_only else self._acts_of(operator))
        filed_before = len(operator.filed())
        try:
            result = act(chance, operator)
        except Killed:
            result = "killed"
            operator.replace_programmer()
            operator.tries(lambda programmer: programmer.connect())
        operator.end.on_operation = None
        self._note_act(world, operator, filed_before, result)
        kind = type(result).__name__ if isinstance(result, PumpbenchError) else ""
        self.told.append(f"{world.now_ms} ms, key {operator.key.key_id}: {name}: {kind} {result}"[:300])
        if chance.random() < 0.3:
            released = operator.line.release(chance.choice(list(Direction)))
            self.told.append(f"{world.now_ms} ms: {released} held frames released")
        self._pause(chance, world, operator)
        operator.note_words()

    def _pause(self, chance: random.Random, world: World, operator: Operator) -> None:
        """Time in which nothing is asked. On a line that somebody listens to, what is late still arrives."""
        until_ms = world.now_ms + chance.choice(PAUSES_MS)
        if chance.random() < 0.5:
            while world.now_ms < until_ms:
                operator.line.receive(until_ms)
        world.advance(until_ms - world.now_ms)

    def _arm_power_cut(self, chance: random.Random, world: World) -> None:
        if chance.random() < 0.5:
            number, torn = chance.randint(1, CUT_WITHIN_WRITES), chance.randrange(TORN_WITHIN_BYTES)
            world.pump.plant.cut_at_write(number, torn)
            self.told.append(f"{world.now_ms} ms: power will go in write {number} after {torn} bytes")
        else:
            number = chance.randint(1, 4)
            world.pump.plant.cut_at_stroke(number)
            self.told.append(f"{world.now_ms} ms: power will go at stroke {number}")

    def _acts_of(self, operator: Operator) -> tuple[tuple[str, Act], ...]:
        return CLINICIANS_ACTS if operator.key.role is Role.CLINICIAN else PATIENTS_ACTS

    def _note_act(self, world: World, operator: Operator, filed_before: int, result: object) -> None:
        """Marks of what has just happened, as far as only this moment knows."""
        under_way = len(operator.filed()) > filed_before
        sometimes("a programmer killed with a command under way", result == "killed" and under_way)
        sometimes("an outcome unknown until the next connection", isinstance(result, OutcomeUnknown))
        sometimes("a command that was certainly not carried out", isinstance(result, NotExecuted))
        controller = world.pump.controller
        served = controller is not None and controller.link.statistics.dup_served
        sometimes("a retransmission answered from the cache", served)

    def _note_ends(self, world: World, facts: Facts) -> None:
        """Marks of what can be read off when everything is over."""
        reasons = {end.reason for end in facts.ends.values()}
        sometimes("a bolus to its end", BolusEndReason.COMPLETE in reasons)
        sometimes("a bolus interrupted by a stall", BolusEndReason.MISSING_EDGES in reasons)
        sometimes("a bolus interrupted by a power cut", BolusEndReason.POWER in reasons)
        sometimes("a bolus cancelled", BolusEndReason.CANCELLED in reasons)
        outcomes = {filed.outcome for operator in self.people for filed in operator.filed()}
        sometimes("a power cut in the middle of a commit", "NOT_STARTED" in outcomes)
        sometimes("a command that never arrived", "NEVER_RECEIVED" in outcomes)
        if world.profile.model.secured:
            sometimes("a session taken over by somebody else", _was_taken_over(world.pump))

    def text(self) -> str:
        """What happened, for a operator."""
        frames = [
            f"frames of key {operator.key.key_id}\n{operator.wire_log.text(25)}" for operator in self.people
        ]
        again = f"see it again: python -m tests.simulation.link_random {self.seed}"
        return "\n".join([f"seed {self.seed}", *self.told, *frames, again])


def _was_taken_over(pump: Pump) -> bool:
    """Whether a session ended because another key opened one: by the security log, read without a word on the wire."""
    controller = pump.controller
    assert controller is not None
    sessions: list[Any] = []
    seq, newest = 0, 0
    while seq <= newest:
        page = controller.records.log.read(LogRead(LogName.SECURITY, 0, seq, 6), may_read_therapy=False)
        entries = [LogEntry.unpack(raw) for raw in page.entries]
        sessions += [e.details() for e in entries if e.type in (LogType.SESSION_CLOSE, LogType.SESSION_OPEN)]
        seq, newest = page.next_seq, page.newest_seq
    return any(
        isinstance(closed, SessionCloseData)
        and closed.reason is SessionCloseReason.REPLACED
        and opened.key_id != closed.key_id
        for closed, opened in itertools.pairwise(sessions)
    )


def _die_at(number: int, last: int) -> None:
    if number >= last:
        raise Killed


def _bolus(chance: random.Random, operator: Operator) -> object:
    if chance.random() < 0.5:
        return operator.gives_bolus(500 * chance.randint(1, 2), shortest_s=5)
    return operator.gives_bolus(2_000)


def _stop_and_resume(chance: random.Random, operator: Operator) -> object:
    stopped = operator.tries(lambda programmer: programmer.stop())
    if isinstance(stopped, PumpbenchError):
        return stopped
    return operator.tries(lambda programmer: programmer.resume())


def _simply(ask: Callable[[Programmer], object]) -> Callable[[random.Random, Operator], object]:
    return lambda _chance, operator: operator.tries(ask)


BOLUSES = (("bolus", _bolus),)
PATIENTS_ACTS = (
    ("status", _simply(lambda p: p.status())),
    ("stop and resume", _stop_and_resume),
    ("cancel", _simply(lambda p: p.cancel_bolus(0))),
    ("log", _simply(lambda p: p.log_status())),
    ("end", _simply(lambda p: p.end_session())),
)
CLINICIANS_ACTS = (
    *BOLUSES * 6,
    *PATIENTS_ACTS,
    ("resume", _simply(lambda p: p.resume())),
    ("program", _simply(lambda p: p.set_simple_program(300_000 + p.status().t_mono_s % 7 * 1_000))),
    ("refill", _simply(lambda p: p.refill(18_000_000, aspirated_nl=17_000_000))),
    ("time", _simply(lambda p: p.set_time(p.status().wall_s + 60, 60, confirm=True))),
    ("whole log", _simply(lambda p: p.read_log())),
)

if __name__ == "__main__":
    story = Story(int(sys.argv[1]))
    try:
        story.play()
    finally:
        sys.stdout.write(story.text() + "\n")
