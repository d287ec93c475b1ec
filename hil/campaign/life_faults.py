"""Every fault of the catalogue as lives at random have it: with which parameters, when it starts, what provokes it.

The values are such that a fault takes effect within hours and a life goes on after it; each is a legal one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.controller.memory.memory_map import (
    CHECKPOINT_OFFSETS,
    LOG_SLOT_BYTES,
    MARK_OFFSET,
    PLACES,
    journal_offsets,
    log_ring,
)
from firmware_emu.faults.orders import NOW, At, Start
from firmware_emu.pins import CELLS, WORD_BITS
from firmware_emu.plant.processor import CODE_BITS, TASKS
from firmware_emu.profile import PumpModel
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE
from protocol.log.types import LogName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random


class Provoked(NamedTuple):
    """How lives have one fault."""

    values: Mapping[str, Sequence[int | None]]
    """What each parameter may be; None: not given."""
    by: str = "time"
    """What lets it take effect: the name of a deed of `Life`."""
    or_values: Mapping[str, Sequence[int | None]] | None = None
    """What its parameters may be together as well, in half of all cases; None: nothing else."""


_SOON_MS: Final = (20 * MS_PER_MINUTE, MS_PER_HOUR, 3 * MS_PER_HOUR)
_SMALL: Final = range(12)
_REGIONS: Final = tuple(range(len(PLACES)))
_ACCURACY: Final = {"accuracy_ppm": (500_000, 1_112_000, 2_000_000)}
_CELL: Final = {"cell": range(CELLS), "bit": range(WORD_BITS)}
_FLASH: Final = {"region": _REGIONS, "offset_bytes": _SMALL}
_LOG_CAPACITY: Final = PumpModel().log_capacity
_SMALL_JOURNAL_BYTES: Final = 700  # of a commit of five records and some entries
_NO_RECORD: Final = {
    "region": (None,),
    "offset_bytes": (
        *(MARK_OFFSET, MARK_OFFSET + 5) * 4,
        *(offset + at for offset in CHECKPOINT_OFFSETS for at in (0, 5, 40, 120)),
        *(
            offset + at
            for offset in journal_offsets(_LOG_CAPACITY)
            for at in (0, 5, 9, *range(20, _SMALL_JOURNAL_BYTES, 136))
        ),
        *(
            log_ring(name, _LOG_CAPACITY).offset + entry * LOG_SLOT_BYTES + 5
            for name in LogName
            for entry in (8, 17, 33, 62, 95, 150)
        ),
    ),
}
"""The mark, the checkpoints, the journals, and the slots that an entry of a life comes to."""

PROVOKED: Final[dict[str, Provoked]] = {
    "motor-stall": Provoked({"duration_ms": (None, *_SOON_MS)}),
    "mri": Provoked(
        {
            "field_duration_ms": (60_000, 1_800_000),
            "restart_delay_ms": (0, MS_PER_HOUR),
            "backward_strokes": (0, 7),
        }
    ),
    "rotor-backward": Provoked({"strokes": (1, 5, 40)}),
    "edge-lost": Provoked({"every_strokes": (1, 2, 7)}),
    "edge-false": Provoked({"every_strokes": (1, 2, 7)}),
    "wear": Provoked({"free_strokes": (1, 4), "held_strokes": (2, 9), "fewer_strokes": (0, 1)}),
    "accuracy": Provoked(_ACCURACY),
    "accuracy-drift": Provoked({"ramp_ppm_per_day": (-300_000, 300_000)}),
    "tube-set": Provoked(_ACCURACY, "two_days_of_standing"),
    "propellant-loss": Provoked({"flow_ppm": (0, 700_000), "ramp_ppm_per_day": (0, -10_000)}),
    "pocket-fill": Provoked({"pocket_ppm": (300_000, 1_000_000)}, "refill_well"),
    "partial-fill": Provoked({"filled_ppm": (0, 500_000)}, "refill_well"),
    "overfill": Provoked({"extra_nl": (100_000, 3_000_000)}, "refill_well"),
    "occlusion": Provoked({"compliance_nl": (0, 5_000)}),
    "catheter-leak": Provoked({"lost_ppm": (200_000, 1_000_000)}),
    "siphon": Provoked({"rate_nl_per_day": (300_000, 2_000_000)}),
    "side-port-aspiration": Provoked({}),
    "magnet": Provoked({}, "knock"),
    "fever": Provoked({"temperature_millicelsius": (34_000, 41_000)}),
    "ambient-pressure": Provoked(
        {"pressure_pa": (70_000, 400_000), "backflow_nl_per_day": (0, 900_000), "capacity_nl": (None,)}
    ),
    "power-cut-at-write": Provoked(
        {"writes": (1, 2, 3, 9), "torn_after_bytes": (0, 1, 5, 30), "stays_off": (0, 1)}, "write"
    ),
    "power-cut-at-stroke": Provoked({"strokes": (1, 2, 9), "stays_off": (0, 1)}),
    "resistive-film": Provoked(
        {"film_milliohm": (60_000, 120_000, 150_000), "growth_milliohm_per_day": (0, 9_000)},
        "write",
    ),
    "battery-drain": Provoked({"leak_ua": (100, 20_000)}),
    "feedthrough-short": Provoked(
        {"period_ms": (600_001, 1_200_000), "stall_ms": (500_000, 599_000)}, "write"
    ),
    "adc-stuck": Provoked({"reading_mv": (None, 2_900, 2_400)}, "restart"),
    "sounder-dead": Provoked({}, "test_tone"),
    "bit-flip": Provoked({**_FLASH, "bit": range(8)}, "restart", {**_NO_RECORD, "bit": range(8)}),
    "stuck-page": Provoked(_FLASH, "write", _NO_RECORD),
    "stuck-cell": Provoked(_FLASH, "write", _NO_RECORD),
    "clock-rate": Provoked({"drift_ppm": (-20_000, 20_000)}),
    "clock-stop": Provoked({"duration_ms": _SOON_MS}),
    "clock-jump": Provoked({"jump_ms": (None, -MS_PER_HOUR, 1, 5 * MS_PER_HOUR)}, "restart"),
    "entropy-stuck": Provoked({}, "restart"),
    "ram-flip": Provoked(_CELL),
    "ram-stuck": Provoked(_CELL),
    "code-flip": Provoked({"bit": range(CODE_BITS)}, "restart"),
    "cpu-fault": Provoked({}, "restart"),
    "stack-overflow": Provoked({}),
    "hung-task": Provoked({"task": tuple(TASKS.values())}),
    "watchdog-false": Provoked({}),
    "watchdog-dead": Provoked({}, "restart"),
    "emi-wake": Provoked({"duration_ms": (60_000, None)}),
}
INVISIBLE: Final = (
    "accuracy",
    "accuracy-drift",
    "propellant-loss",
    "pocket-fill",
    "partial-fill",
    "overfill",
    "occlusion",
    "catheter-leak",
    "siphon",
    "side-port-aspiration",
    "fever",
    "ambient-pressure",
)
"""What the pump has no sensor for: its belief, its log and its words are the same with and without."""
BY_ROWS: Final = (
    "accuracy",
    "pocket-fill",
    "partial-fill",
    "overfill",
    "catheter-leak",
    "side-port-aspiration",
)
"""Those of them that leave all strokes alike: months with them are played in a fraction of the time."""
_EVENTS: Final = ("LogWritten", "PowerOn", "PowerLost", "AlarmRaised", "RateStepped", "BOLUS_START")
"""Events that an order waits for; none of a fault, since a twin is spared those that the pump cannot see."""
_ALARMS: Final = ("MOTOR_STALL", "RESET", "LOW_RESERVOIR", "EMPTY", "MEM_CRITICAL")


class Wanted(NamedTuple):
    """A fault as a rig asks for it: the arguments of `Pump.inject`."""

    name: str
    parameters: dict[str, int]
    start: Start
    timing: dict[str, Any]


def sampled(random: Random, name: str) -> dict[str, int]:
    """Parameters of one fault."""
    provoked = PROVOKED[name]
    parameters = provoked.values
    if provoked.or_values is not None and random.random() < 0.5:
        parameters = provoked.or_values
    chosen = {key: random.choice(values) for key, values in parameters.items()}
    return {key: value for key, value in chosen.items() if value is not None}


def ordered(random: Random, name: str) -> Wanted:
    """One fault, at once or with an order of any kind: when it starts, how long it lasts, how often it comes."""
    starts = (
        NOW,
        NOW,
        Start(At.TIME, after_ms=random.choice((1, 61_003, 5 * MS_PER_HOUR))),
        Start(At.STROKE, count=random.choice((1, 7, 90))),
        Start(At.WRITE, count=random.choice((1, 2, 11))),
        Start(At.FRAME, count=random.choice((1, 2, 5))),
        Start(At.EVENT, name=random.choice(_EVENTS), count=random.choice((1, 3))),
        Start(At.ALARM, name=random.choice(_ALARMS), cleared=random.random() < 0.2),
        Start(At.BELIEF, field="bolus_left_nl", operator=">", value=random.choice((0, 5_000))),
    )
    start = random.choice(starts)
    timing: dict[str, Any] = {"for_ms": random.choice((None, 1, 61_003, 40 * MS_PER_MINUTE, 8 * MS_PER_HOUR))}
    if random.random() < 0.4:
        lasts_ms = 0 if timing["for_ms"] is None else timing["for_ms"]
        timing |= {
            "times": random.choice((2, 3)),
            "every_ms": lasts_ms + random.choice((1, 90 * MS_PER_MINUTE)),
        }
    return Wanted(name, sampled(random, name), start, timing)
