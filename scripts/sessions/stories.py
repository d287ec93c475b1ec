"""What happens in each session, and what its author knows of the alarms in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import PumpbenchError
from hil.noise import Direction
from hil.procedures.fluid_path import FluidPath, bridge_for
from protocol.identifiers import AlarmId, ConfigId, Role, TimeSetReason
from protocol.messages.program import BridgeBlock

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from scripts.sessions.recorded_pump import RecordedPump

S: Final = 1_000
MINUTE: Final = 60 * S
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
NG_PER_MCG: Final = 1_000
WALL_S: Final = 826_275_600  # 2026-03-08 09:00 UTC, since 2000


class Cause(NamedTuple):
    """Why an alarm came, as its author knows: what kind of thing, its name, and the how manieth of that name."""

    kind: str
    """`request`, `fault` or `log entry`."""
    name: str
    nth: int = 1


class Alarm(NamedTuple):
    """An alarm in the order in which they are raised."""

    alarm: AlarmId
    cause: Cause


class Story(NamedTuple):
    """A session: what for, of which pump, what happens, and its alarms."""

    purpose: str
    seed: int
    play: Callable[[RecordedPump], None]
    alarms: tuple[Alarm, ...]
    model: Mapping[str, int | str | bool] = {}
    implant: Mapping[str, int | str | bool] = {}


def interrogate(pump: Programmer) -> None:
    """Read what a clinician looks at first."""
    pump.info()
    pump.limits()
    pump.time()
    pump.status()
    pump.program()
    pump.delivery()
    pump.reservoir()
    pump.alarms()
    list(pump.log())


def clinic_day(bench: RecordedPump) -> None:
    """Interrogated and titrated; a stop breaks off the bolus, another is forgotten."""
    bench.wait(7 * MINUTE)
    with bench.programmer() as clinic:
        clinic.configure(ConfigId.PATIENT_ID, "Ada Example 17")
        clinic.configure(ConfigId.DRUG_NAME, "baclofen-x")
        interrogate(clinic)
        clinic.set_simple_program(330 * NG_PER_MCG)
        clinic.bolus(20_000, 600)
        bench.wait(90 * S)
        clinic.status()
        bench.wait(60 * S)
        clinic.stop(3_600)
        clinic.resume()
        clinic.acknowledge_alarm(AlarmId.BOLUS_PARTIAL)
        clinic.status()
        list(clinic.log())
    bench.wait(2 * HOUR)
    with bench.programmer() as clinic:
        clinic.status()
        clinic.bolus(10_000, 600)
        bench.wait(11 * MINUTE)
        clinic.status()
        clinic.stop(1_800)
    bench.wait(HOUR)
    with bench.programmer() as clinic:
        clinic.alarms()
        clinic.acknowledge_alarm(AlarmId.STOP_EXPIRED)
        clinic.resume()
        list(clinic.log())
        clinic.status()


def refill(bench: RecordedPump) -> None:
    """Filled with next to nothing, run dry, and filled with twice the concentration behind a bridge."""
    with bench.programmer() as clinic:
        interrogate(clinic)
        clinic.refill(2_050_000, aspirated_nl=16_000_000, low_alarm_nl=2_000_000)
    bench.wait(DAY)
    with bench.programmer(Role.OBSERVER) as ward:
        ward.status()
        ward.alarms()
    bench.wait(4 * DAY)
    with bench.programmer() as clinic:
        interrogate(clinic)
        aspirated_nl = bench.rig.aspirate()
        bench.rig.fill(18_000_000, 1_000_000)
        path = FluidPath(tubing_nl=140_000, catheter_nl=198_000)
        bridge = bridge_for(
            path,
            old_ng_per_ml=500_000,
            new_ng_per_ml=1_000_000,
            bridge_dose_ng_per_day=300 * NG_PER_MCG,
            new_dose_ng_per_day=300 * NG_PER_MCG,
            dispersion=Fraction(0),
        )
        staged = clinic.stage_simple_program(
            300 * NG_PER_MCG,
            concentration_ng_per_ml=1_000_000,
            bridge=BridgeBlock(bridge.volume_nl, bridge.rate_nl_per_day),
        )
        clinic.refill_with_program(staged, 18_000_000, aspirated_nl=aspirated_nl, rinsed_twice=True)
        clinic.status()
    bench.wait(HOUR)
    with bench.programmer() as clinic:
        clinic.status()
        clinic.program()
        clinic.reservoir()
    bench.wait(DAY)
    with bench.programmer() as clinic:
        interrogate(clinic)


def mri(bench: RecordedPump) -> None:
    """A scan of half an hour, gears that bind for three more, and nobody who asks before the evening."""
    with bench.programmer() as clinic:
        interrogate(clinic)
    bench.wait(HOUR)
    bench.rig.inject("mri", field_duration_ms=30 * MINUTE, restart_delay_ms=3 * HOUR)
    bench.wait(2 * HOUR)
    with bench.programmer() as clinic:
        clinic.status()
        clinic.alarms()
    bench.wait(3 * HOUR)
    with bench.programmer() as clinic:
        interrogate(clinic)
        clinic.acknowledge_alarm(AlarmId.MOTOR_STALL)
        clinic.status()


def lossy_ward(bench: RecordedPump) -> None:
    """Frames are lost, doubled, late and bent both ways; a bit of the code turns meanwhile."""
    line = bench.line()
    with bench.programmer(line=line) as nurse:
        line.drop(Direction.TO_PUMP, 2)
        line.duplicate(Direction.TO_PUMP, 2, skip=3)
        line.flip(Direction.TO_PUMP, 77, 2, skip=7)
        line.drop(Direction.FROM_PUMP, 2, skip=2)
        line.flip(Direction.FROM_PUMP, 133, 2, skip=5)
        line.delay(Direction.FROM_PUMP, 700, 2, skip=7)
        interrogate(nurse)
        line.check_all_fired()
    bench.rig.inject("code-flip", bit=5)
    bench.wait(2 * HOUR)
    line = bench.line()
    with bench.programmer(line=line) as nurse:
        nurse.status()
        line.drop(Direction.FROM_PUMP, 1)
        nurse.alarms()
        line.flip(Direction.TO_PUMP, 40, 1)
        list(nurse.log())
        line.check_all_fired()


def update_cut(bench: RecordedPump) -> None:
    """Power goes in the write of a program that is committed; its outcome is asked for after the restart."""
    bench.wait(HOUR)
    with bench.programmer() as clinic:
        interrogate(clinic)
        staged = clinic.stage_simple_program(360 * NG_PER_MCG)
        bench.rig.inject("power-cut-at-write", writes=1, torn_after_bytes=20, stays_off=1)
        try:
            clinic.commit_program(staged)
        except PumpbenchError:
            bench.rig.power_restore(5 * S)
        else:
            raise AssertionError("the commit was answered, and power was to go in it")
        clinic.status()
        clinic.program()
        clinic.alarms()
        clinic.found_out.clear()
        clinic.set_time(WALL_S, 60, reason=TimeSetReason.DRIFT, confirm=True)
        clinic.set_simple_program(360 * NG_PER_MCG)
        list(clinic.log())
    bench.wait(HOUR)
    with bench.programmer() as clinic:
        interrogate(clinic)


def eri_to_eos(bench: RecordedPump) -> None:
    """A leak empties the battery: replacement is due within days, and the end comes in the same month."""
    with bench.programmer() as clinic:
        interrogate(clinic)
    bench.wait(DAY)
    bench.rig.inject("battery-drain", leak_ua=1_500)
    for _ in range(4):
        bench.wait(7 * DAY)
        with bench.programmer() as clinic:
            clinic.status()
            clinic.alarms()
    bench.wait(DAY)
    with bench.programmer() as clinic:
        interrogate(clinic)


STORIES: Final = {
    "clinic_day": Story(
        "A day in a clinic: interrogated, titrated, a bolus that a stop breaks off, a stop that is forgotten.",
        1,
        clinic_day,
        (
            Alarm(AlarmId.BOLUS_PARTIAL, Cause("request", "STOP", 1)),
            Alarm(AlarmId.STOP_EXPIRED, Cause("request", "STOP", 2)),
        ),
        model={"serial": "EMUCLINIC001"},
    ),
    "refill": Story(
        "A reservoir that runs low and empty, then a refill of twice the concentration with its bridge.",
        2,
        refill,
        (
            Alarm(AlarmId.LOW_RESERVOIR, Cause("request", "REFILL", 1)),
            Alarm(AlarmId.EMPTY, Cause("request", "REFILL", 1)),
        ),
        model={"serial": "EMUREFILL002"},
    ),
    "mri": Story(
        "A scan that holds the rotor, a stall that outlasts the field, and the recovery.",
        3,
        mri,
        (Alarm(AlarmId.MOTOR_STALL, Cause("fault", "mri")),),
        model={"serial": "EMUSCANNER03"},
    ),
    "lossy_ward": Story(
        "A line that loses, doubles, delays and bends frames, and a pump whose code rots meanwhile.",
        4,
        lossy_ward,
        (Alarm(AlarmId.SELF_TEST, Cause("fault", "code-flip")),),
        model={"serial": "EMUWARD00004"},
    ),
    "update_cut": Story(
        "Power goes in the middle of a program being written; the restart, and the program written again.",
        5,
        update_cut,
        (
            Alarm(AlarmId.RESET, Cause("fault", "power-cut-at-write")),
            Alarm(AlarmId.WALL_INVALID, Cause("log entry", "BOOT", 2)),
        ),
        model={"serial": "EMUUPDATE005"},
    ),
    "eri_to_eos": Story(
        "A month at the end of a battery: replacement indicated, then the end of service.",
        6,
        eri_to_eos,
        (
            Alarm(AlarmId.ERI, Cause("fault", "battery-drain")),
            Alarm(AlarmId.EOS, Cause("fault", "battery-drain")),
        ),
        model={"serial": "EMUENDING006"},
        implant={"dose_ng_per_day": 100_000},
    ),
}
"""By the name of their files."""
