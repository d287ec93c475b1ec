"""Faults of the power supply, and of the sounder that hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where
from firmware_emu.plant.battery import NC_PER_UAH, Film, Short

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.plant.plant import Plant


def _inject_cut_at_write(plant: Plant, _now_ms: int, values: Values) -> None:
    plant.cut_at_write(values["writes"], values["torn_after_bytes"], stays_off=bool(values["stays_off"]))


def _inject_cut_at_stroke(plant: Plant, _now_ms: int, values: Values) -> None:
    plant.cut_at_stroke(values["strokes"], stays_off=bool(values["stays_off"]))


def _disarm_write(plant: Plant, _now_ms: int) -> None:
    plant.flash.cut = None


def _disarm_stroke(plant: Plant, _now_ms: int) -> None:
    plant.rotor.cut = None


def _inject_film(plant: Plant, now_ms: int, values: Values) -> None:
    plant.battery.set_film(Film(values["film_milliohm"], values["growth_milliohm_per_day"], now_ms))


def _inject_short(plant: Plant, now_ms: int, values: Values) -> None:
    period_ms, stall_ms = values["period_ms"], values["stall_ms"]
    if stall_ms >= period_ms:
        raise ValueError(f"stall_ms of feedthrough-short must be below period_ms, {period_ms}, is {stall_ms}")
    missed = plant.rotor.strokes_missed
    plant.battery.set_short(
        Short(now_ms + period_ms, period_ms, stall_ms, stalls_next=True, missed_before=missed)
    )


def _clear_short(plant: Plant, _now_ms: int) -> None:
    short, stall = plant.battery.short, plant.rotor.stall
    plant.battery.set_short(None)
    if short is not None and stall is not None and stall.until_ms == stall.since_ms + short.stall_ms:
        plant.rotor.stall = None


def _inject_stuck_converter(plant: Plant, now_ms: int, values: Values) -> None:
    read_mv = values["reading_mv"]
    battery = plant.battery
    battery.adc_mv = battery.cell_mv(plant.crystal.tick_of(now_ms)) if read_mv is None else read_mv


def _heal_converter(plant: Plant, _now_ms: int) -> None:
    plant.battery.adc_mv = None


def _set_sounder(dead: bool) -> Callable[..., None]:  # noqa: FBT001 - a state of the part
    def act(plant: Plant, *_: object) -> None:
        plant.sounder.dead = dead

    return act


_STAYS_OFF = Parameter(
    "stays_off", 0, 1, default=1, meaning="1: until the rig restores power; 0: a brown-out"
)

POWER_FAULTS: Final = (
    Fault(
        "power-cut-at-write",
        Where.POWER,
        "Power goes in the n-th write to the memory from now, of which so many bytes land. Once.",
        "a restart that finds a torn write",
        _inject_cut_at_write,
        _disarm_write,
        lambda plant: plant.flash.cut is not None,
        lambda plant: plant.flash.cuts,
        (
            Parameter("writes", 1, COUNT_MAX, required=True),
            Parameter("torn_after_bytes", 0, COUNT_MAX, default=0),
            _STAYS_OFF,
        ),
    ),
    Fault(
        "power-cut-at-stroke",
        Where.POWER,
        "Power goes as the n-th stroke from now is due; it is not turned. Once.",
        "a restart, and a stroke of which nobody knows whether it was turned",
        _inject_cut_at_stroke,
        _disarm_stroke,
        lambda plant: plant.rotor.cut is not None,
        lambda plant: plant.rotor.cuts,
        (Parameter("strokes", 1, COUNT_MAX, required=True), _STAYS_OFF),
    ),
    Fault(
        "resistive-film",
        Where.POWER,
        "A film on an electrode of the cell: a load drops the voltage, and below the threshold power browns out.",
        "restarts (RESET), a low voltage at each reading, ERI before its time",
        _inject_film,
        lambda plant, _now_ms: plant.battery.set_film(None),
        lambda plant: plant.battery.film is not None,
        lambda plant: plant.battery.brown_outs,
        (
            Parameter("film_milliohm", 1, 10_000_000, required=True),
            Parameter("growth_milliohm_per_day", 0, 10_000_000, default=0),
        ),
    ),
    Fault(
        "battery-drain",
        Where.POWER,
        "A current leaks away from the cell. Counted are the microampere-hours that did.",
        "a voltage that falls too soon: ERI, and EOS, before their time",
        lambda plant, now_ms, values: plant.battery.set_leak(now_ms, values["leak_ua"]),
        lambda plant, now_ms: plant.battery.set_leak(now_ms, 0),
        lambda plant: plant.battery.leak_ua > 0,
        lambda plant: plant.battery.leaked_nc(plant.crystal.now_ms) // NC_PER_UAH,
        (Parameter("leak_ua", 1, 1_000_000, required=True),),
    ),
    Fault(
        "feedthrough-short",
        Where.POWER,
        "By turns the motor is held for a while, and the pump is reset. A stall over no stroke is not counted.",
        "missing edges, and restarts (RESET)",
        _inject_short,
        _clear_short,
        lambda plant: plant.battery.short is not None,
        lambda plant: plant.battery.shorts,
        (
            Parameter("period_ms", 2, COUNT_MAX, default=7_200_000),
            Parameter("stall_ms", 1, COUNT_MAX, default=1_800_000),
        ),
    ),
    Fault(
        "adc-stuck",
        Where.POWER,
        "The converter reads one voltage for ever. Counted are the readings that were wrong.",
        "a voltage that does not fit the gauge (POST_FAIL, BATTERY); ERI and EOS then come by the gauge",
        _inject_stuck_converter,
        _heal_converter,
        lambda plant: plant.battery.adc_mv is not None,
        lambda plant: plant.battery.stuck_readings,
        (Parameter("reading_mv", 0, 65_535, meaning="what it would read now"),),
    ),
    Fault(
        "sounder-dead",
        Where.PLANT,
        "The transducer is open: no tone is heard. Counted are those that were not.",
        "no current flows as a tone begins: POST_FAIL and SELF_TEST, SOUNDER",
        _set_sounder(True),
        _set_sounder(False),
        lambda plant: plant.sounder.dead,
        lambda plant: plant.sounder.unheard,
    ),
)
