"""Faults that come from what is around the pump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where
from firmware_emu.plant.flow_model import BACKFLOW_ABOVE_PA, BODY_MILLICELSIUS, SEA_LEVEL_PA
from firmware_emu.plant.reservoir import FLOW_MAX_NL_PER_DAY
from firmware_emu.units import PPM

if TYPE_CHECKING:
    from firmware_emu.plant.plant import Plant


def _set_temperature(plant: Plant, temperature_millicelsius: int) -> None:
    plant.body.temperature_millicelsius = temperature_millicelsius
    plant.feel_surroundings()


def _set_pressure(plant: Plant, now_ms: int, pressure_pa: int, backflow_nl_per_day: int) -> None:
    reservoir = plant.reservoir
    plant.body.pressure_pa = pressure_pa
    reservoir.set_flow(
        now_ms,
        siphon_nl_per_day=reservoir.siphon_nl_per_day,
        backflow_nl_per_day=backflow_nl_per_day if pressure_pa > BACKFLOW_ABOVE_PA else 0,
    )
    plant.feel_surroundings()


def _inject_pressure(plant: Plant, now_ms: int, values: Values) -> None:
    _set_pressure(plant, now_ms, values["pressure_pa"], values["backflow_nl_per_day"])
    capacity_nl = values["capacity_nl"]
    if capacity_nl is not None and values["pressure_pa"] > BACKFLOW_ABOVE_PA:
        plant.reservoir.capacity_nl = capacity_nl


SURROUNDINGS_FAULTS: Final = (
    Fault(
        "magnet",
        Where.PLANT,
        "A magnet or a programming head is held over the pump.",
        "proximity, where it looks for it",
        lambda plant, _now_ms, _values: plant.set_magnet(True),
        lambda plant, _now_ms: plant.set_magnet(False),
        lambda plant: plant.body.magnet_near,
        lambda plant: plant.body.times_seen,
    ),
    Fault(
        "fever",
        Where.PLANT,
        "The body is warmer or colder than 37 degrees: strokes move what the profile's flow model says.",
        "nothing: the pump has no thermometer",
        lambda plant, _now_ms, values: _set_temperature(plant, values["temperature_millicelsius"]),
        lambda plant, _now_ms: _set_temperature(plant, BODY_MILLICELSIUS),
        lambda plant: plant.body.temperature_millicelsius != BODY_MILLICELSIUS,
        lambda plant: plant.rotor.fever_strokes,
        (Parameter("temperature_millicelsius", 0, 100_000, default=40_000),),
    ),
    Fault(
        "ambient-pressure",
        Where.PLANT,
        "Altitude or depth: strokes move what the flow model says; above 2 ATA fluid goes back into the reservoir,"
        " which may stay deformed. It has taken effect on so many strokes and nL.",
        "nothing: the pump has no sensor of pressure or volume",
        _inject_pressure,
        lambda plant, now_ms: _set_pressure(plant, now_ms, SEA_LEVEL_PA, 0),
        lambda plant: plant.body.pressure_pa != SEA_LEVEL_PA,
        lambda plant: plant.rotor.pressure_strokes + plant.reservoir.pushed_back_nl_ppm // PPM,
        (
            Parameter("pressure_pa", 1_000, 10_000_000, required=True),
            Parameter("backflow_nl_per_day", 0, FLOW_MAX_NL_PER_DAY, default=1_000_000),
            Parameter("capacity_nl", 1, COUNT_MAX, meaning="as before"),
        ),
    ),
)
