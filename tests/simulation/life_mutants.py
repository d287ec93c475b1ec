"""Pumps that break one of the ten properties each: the test of `Properties`. Not for use anywhere else.

Each is the product with one function changed, as somebody might write it who had not thought of the rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from firmware_emu.controller.alarms import tones
from firmware_emu.controller.commands import reading
from firmware_emu.controller.controller import Controller
from firmware_emu.controller.memory.ledger import Ledger
from firmware_emu.controller.memory.records import Records
from firmware_emu.controller.therapy import bolus
from firmware_emu.controller.therapy.reservoir_belief import ReservoirBelief
from firmware_emu.controller.therapy.therapy import Therapy
from firmware_emu.plant.catheter import Catheter
from firmware_emu.plant.rotor import Rotor
from firmware_emu.pump import Pump
from protocol.identifiers import AlarmId, ErrorCode, State
from protocol.messages.reservoir import GetReservoirReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.pins import StrokeRun

PPM: Final = 1_000_000


class Change(NamedTuple):
    """One function of the product, and what stands in its place; made from the one that is there."""

    owner: Any
    name: str
    made_from: Callable[[Any], Any]


class Mutant(NamedTuple):
    """What is wrong, and the number of the property that it breaks."""

    breaks: int
    what: str
    change: Change
    deeds: tuple[str, ...] = ()
    """What people do more often than else with such a pump, until it shows."""


def _half_the_drug(real: Any) -> Any:
    def follow_with(self: Catheter, position_nl_ppm: int, drug_fg_ppm: int, volume_nl_ppm: int) -> None:
        real(self, position_nl_ppm, drug_fg_ppm // 2, volume_nl_ppm)

    return follow_with


def _turning_while_stopped(real: Any) -> Any:
    def wanted(self: Therapy) -> int:
        stopped = self.records.therapy.state is State.STOP
        return self.model.safe_rate_nl_per_day if stopped else int(real(self))

    return wanted


def _any_duration(real: Any) -> Any:
    def minimum(volume_nl: int, basal_nl_per_day: int, rate_max_nl_per_day: int) -> int | None:
        return None if real(volume_nl, basal_nl_per_day, rate_max_nl_per_day) is None else 1

    return minimum


class _Measuring(ReservoirBelief):
    """Reads what is really in the reservoir, as if there were a sensor."""

    __slots__ = ()
    pump: ClassVar[Pump]

    def refill(self, *entered: Any) -> None:
        super().refill(type(self).pump.plant.truth(type(self).pump.now_ms).true_nl_ppm // PPM, *entered[1:])


def _booted(then: Callable[[Pump, Controller], None]) -> Callable[[Any], Any]:
    """A pump to which this is done whenever it has started."""

    def made_from(real: Any) -> Any:
        def boot(self: Pump) -> None:
            real(self)
            if self.controller is not None:
                then(self, self.controller)

        return boot

    return made_from


def _measure(pump: Pump, controller: Controller) -> None:
    controller.records.reservoir.__class__ = type("Measuring", (_Measuring,), {"__slots__": (), "pump": pump})


def _other_program(pump: Pump, controller: Controller) -> None:
    program = controller.records.program
    if controller.records.therapy.boot_count > 1 and program is not None:
        header = program.header._replace(concentration_ng_per_ml=program.header.concentration_ng_per_ml + 1)
        controller.records.program = type(program)(header, program.segments, program.constant_rate_nl_per_day)


def _without_entry(real: Any) -> Any:
    def tell_cleared(self: Records, alarm_id: Any) -> None:
        pass

    return tell_cleared


def _unlogged_alarm(pump: Pump, controller: Controller) -> None:
    controller.records.alarms.raise_(AlarmId.MOTOR_STALL, controller.records.tick_ms, 0)


def _a_hundredth_more(real: Any) -> Any:
    def turn(self: Rotor, run: StrokeRun) -> int:
        self.reservoir.emitted_nl_ppm += run.count * self.stroke_nl_ppm // 100
        return int(real(self, run))

    return turn


def _twice_the_interval(real: Any) -> Any:
    return lambda from_ms, start_ms, interval_ms: real(from_ms, start_ms, 2 * interval_ms)


def _old_numbers_too(real: Any) -> Any:
    def judge_absent(*about: Any, **more: Any) -> ErrorCode | None:
        error = real(*about, **more)
        return None if error is ErrorCode.CMD_ID_OLD else error

    return staticmethod(judge_absent)


def _dates_in_disorder(real: Any) -> Any:
    def moments(device: Any) -> tuple[int | None, int | None, int | None]:
        low_ms, empty_ms, low_all_ms = real(device)
        return empty_ms, low_ms, low_all_ms

    return moments


class _Telling(Controller):
    """Tells in an answer what is really in the reservoir."""

    __slots__ = ()
    pump: ClassVar[Pump]

    def _handled(self, *about: Any) -> object:
        answer = super()._handled(*about)
        if isinstance(answer, GetReservoirReply):
            return answer._replace(last_expected_nl=type(self).pump.plant.reservoir.volume_nl_ppm // PPM)
        return answer


def _tell(pump: Pump, controller: Controller) -> None:
    controller.__class__ = type("Telling", (_Telling,), {"__slots__": (), "pump": pump})


MUTANTS: Final = (
    Mutant(1, "half of the drug comes out", Change(Catheter, "follow_with", _half_the_drug)),
    Mutant(1, "more comes out than strokes move", Change(Rotor, "_turn", _a_hundredth_more)),
    Mutant(
        2,
        "a bolus may be as short as one likes",
        Change(bolus, "minimum_duration_s", _any_duration),
        ("check_up", "bolus"),
    ),
    Mutant(
        3, "a stopped pump turns slowly", Change(Therapy, "wanted_rate_nl_per_day", _turning_while_stopped)
    ),
    Mutant(4, "a refill is measured", Change(Pump, "_boot", _booted(_measure))),
    Mutant(5, "an alarm ends without an entry", Change(Records, "_tell_cleared", _without_entry)),
    Mutant(5, "an alarm begins at a start without an entry", Change(Pump, "_boot", _booted(_unlogged_alarm))),
    Mutant(6, "a start changes the program", Change(Pump, "_boot", _booted(_other_program))),
    Mutant(7, "a tone comes half as often", Change(tones, "_first_from", _twice_the_interval)),
    Mutant(
        8,
        "an old number is a new one",
        Change(Ledger, "_judge_absent", _old_numbers_too),
        ("bolus", "bolus", "void", "void", "bolus_under_an_old_number"),
    ),
    Mutant(9, "empty comes before low", Change(reading, "_foreseen_moments_ms", _dates_in_disorder)),
    Mutant(10, "an answer tells what is in the reservoir", Change(Pump, "_boot", _booted(_tell))),
)
