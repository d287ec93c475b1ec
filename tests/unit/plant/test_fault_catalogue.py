"""Each fault of the catalogue takes effect, is counted, and ends; another is added by one registration."""

from __future__ import annotations

import re

import pytest

from firmware_emu.events import FaultInjected, FaultValue, TraceEntry
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.faults.fault import Fault, Parameter, Where, register_fault
from firmware_emu.now import Now
from firmware_emu.plant.plant import Plant
from firmware_emu.profile import Implant
from firmware_emu.pump import Pump
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import SEED, profile_of

GIVEN = {
    "accuracy": {"accuracy_ppm": 900_000},
    "power-cut-at-write": {"writes": 2},
    "power-cut-at-stroke": {"strokes": 3},
    "rotor-backward": {"strokes": 3},
    "wear": {"free_strokes": 20, "held_strokes": 5},
    "accuracy-drift": {"ramp_ppm_per_day": 1_000},
    "tube-set": {"accuracy_ppm": 900_000},
    "propellant-loss": {"flow_ppm": 900_000},
    "partial-fill": {"filled_ppm": 500_000},
    "overfill": {"extra_nl": 3_000_000},
    "siphon": {"rate_nl_per_day": 1_000_000},
    "ambient-pressure": {"pressure_pa": 250_000},
    "resistive-film": {"film_milliohm": 60_000},
    "battery-drain": {"leak_ua": 1_000},
    "feedthrough-short": {"period_ms": MS_PER_HOUR, "stall_ms": MS_PER_HOUR // 6},
    "adc-stuck": {"reading_mv": 2_900},
    "bit-flip": {"region": 2},
    "stuck-page": {"offset_bytes": 256},
    "stuck-cell": {"offset_bytes": 256},
    "clock-rate": {"drift_ppm": -100},
    "ram-flip": {"cell": 0, "bit": 3},
    "ram-stuck": {"cell": 0, "bit": 71},
    "code-flip": {"bit": 5},
}
ONLY_AT_A_FILL = ("pocket-fill", "partial-fill", "overfill")
ACT_AT_A_RESTART = {"entropy-stuck", "bit-flip", "clock-jump", "sounder-dead", "cpu-fault", "watchdog-dead"}
"""Sounder: by the tone of RESET."""


def new_pump() -> Pump:
    """One of whose strokes depend on the temperature: else a fever does nothing."""
    return Pump.new(profile_of(implant=Implant(dose_ng_per_day=300_000), accuracy_per_kelvin_ppm=2_000), SEED)


def state_of(pump: Pump, name: str) -> tuple[bool, int]:
    return next((each.on, each.effects) for each in pump.faults() if each.fault.name == name)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_off_is_on_takes_effect_and_is_off_again(name: str) -> None:
    pump = new_pump()
    assert state_of(pump, name) == (False, 0)
    pump.inject(name, GIVEN.get(name, {}))
    assert state_of(pump, name)[0]
    pump.step(pump.now.later(3 * MS_PER_HOUR))
    if name in ACT_AT_A_RESTART:
        pump.cut_power()
        pump.restore_power()
        pump.step(pump.now.later(1))
    if name == "magnet":
        assert pump.plant.pins().magnet.near()
    if name in ONLY_AT_A_FILL:
        pump.fill(1_000_000, 500_000)
    if name == "tube-set":
        pump.stall_motor(True)
        pump.step(pump.now.later(49 * MS_PER_HOUR))
        pump.stall_motor(False)
        pump.step(pump.now.later(MS_PER_HOUR))
    assert state_of(pump, name)[1] >= 1
    pump.clear(name)
    on, effects = state_of(pump, name)
    assert not on
    pump.restore_power()
    pump.step(pump.now.later(3 * MS_PER_HOUR))
    assert state_of(pump, name) == (False, effects), "what has ended takes no more effect"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_and_its_count_survive_the_image(name: str) -> None:
    pump = new_pump()
    pump.inject(name, GIVEN.get(name, {}))
    again = Plant.restored(pump.profile.model, pump.plant.to_json())
    fault = FAULTS[name]
    assert (fault.is_on(again), fault.effects(again)) == state_of(pump, name)


@pytest.mark.parametrize("name", ["battery-drain", "resistive-film", "feedthrough-short"])
def test_who_looks_at_a_pump_with_a_faulty_cell_leaves_no_mark_in_what_goes_on_file(name: str) -> None:
    pump = new_pump()
    pump.inject(name, GIVEN.get(name, {}))
    pump.step(Now.both(MS_PER_HOUR + 1))
    unseen = pump.fork()
    pump.truth()
    pump.faults()
    for part in ("crystal", "battery"):
        assert getattr(pump.plant, part).to_json() == getattr(unseen.plant, part).to_json()


def test_a_stall_ends_by_itself_after_its_duration() -> None:
    pump = new_pump()
    pump.inject("motor-stall", {"duration_ms": MS_PER_HOUR})
    pump.step(Now.both(2 * MS_PER_HOUR))
    on, missed = state_of(pump, "motor-stall")
    assert not on
    assert missed == pump.truth().strokes_missed > 0


@pytest.mark.parametrize("stays_off", [0, 1])
def test_power_stays_off_after_a_cut_or_comes_back_at_once_as_it_was_asked(stays_off: int) -> None:
    pump = new_pump()
    pump.inject("power-cut-at-stroke", {"strokes": 1, "stays_off": stays_off})
    pump.step(Now.both(MS_PER_HOUR))
    assert pump.powered == (not stays_off)


@pytest.mark.parametrize(
    ("name", "given", "complaint"),
    [
        ("motor-stal", {}, "there is no fault 'motor-stal'; there are motor-stall, mri, "),
        ("magnet", {"near": 1}, "magnet has no parameter near; it takes no parameters"),
        ("motor-stall", {"ms": 1}, "motor-stall has no parameter ms; it takes duration_ms"),
        ("accuracy", {}, "accuracy needs accuracy_ppm, 1 to 10000000"),
        (
            "accuracy",
            {"accuracy_ppm": 0},
            "accuracy_ppm of accuracy must be a whole number from 1 to 10000000, is 0",
        ),
        ("accuracy", {"accuracy_ppm": True}, "accuracy_ppm of accuracy must be a whole number"),
        ("accuracy", {"accuracy_ppm": "1"}, "accuracy_ppm of accuracy must be a whole number"),
        ("power-cut-at-write", {"writes": 1, "stays_off": 2}, "stays_off of power-cut-at-write must be"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    name: str, given: dict[str, object], complaint: str
) -> None:
    pump = new_pump()
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}"):
        pump.inject(name, given)
    assert not any(each.on for each in pump.faults())


def test_another_fault_is_one_registration() -> None:
    """A leak: the syringe of somebody who is not there."""
    leaked: list[int] = []

    def leak(plant: Plant, _now_ms: int, values: dict[str, int | None]) -> None:
        leaked.append(plant.aspirate(values["leak_nl"]))

    register_fault(
        Fault(
            "leak",
            Where.PLANT,
            "Fluid leaves the reservoir.",
            "nothing",
            leak,
            lambda _plant, _now_ms: leaked.clear(),
            lambda _plant: bool(leaked),
            lambda _plant: len(leaked),
            (Parameter("leak_nl", 1, 1_000_000, required=True),),
        )
    )
    try:
        pump = new_pump()
        before_nl_ppm = pump.truth().true_nl_ppm
        pump.inject("leak", {"leak_nl": 5_000})
        assert before_nl_ppm - pump.truth().true_nl_ppm == 5_000 * 1_000_000
        told = TraceEntry(pump.now, FaultInjected("leak", (FaultValue("leak_nl", 5_000),)))
        assert told in pump.step(pump.now).trace
        assert state_of(pump, "leak") == (True, 1)
        with pytest.raises(ValueError, match="the fault leak is there already"):
            register_fault(FAULTS["leak"])
    finally:
        del FAULTS["leak"]


def test_names_are_for_addresses_and_units_are_the_last_part_of_a_parameter() -> None:
    for fault in FAULTS.values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", fault.name)
        assert fault.summary.endswith(".")
        for parameter in fault.parameters:
            assert re.search(
                r"_(ms|ppm|ppm_per_day|nl|nl_per_day|pa|millicelsius|strokes|bytes|off)$|^(writes|strokes|cell|task)$"
                r"|_(milliohm|milliohm_per_day|ua|mv)$|^(bit|region)$",
                parameter.name,
            ), parameter.name
            assert parameter.required or parameter.default is not None or parameter.meaning
