"""What a deed could be instead that is less: its parts, a shorter wait, a fault at once and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.deed import Deed
from hil.campaign.life_faults import PROVOKED
from hil.campaign.pairs import WORKS
from hil.campaign.world import AT_ONCE, TIMING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Drew = Mapping[str, Any]
    Part = tuple[str, dict[str, Any]]

WAITS_MS: Final = (
    *(1, MS_PER_S, MS_PER_MINUTE, 10 * MS_PER_MINUTE, MS_PER_HOUR, 4 * MS_PER_HOUR, 12 * MS_PER_HOUR),
    *(days * MS_PER_DAY for days in (1, 7, 30)),
)
ROUND: Final[dict[str, tuple[int, ...]]] = {
    "wait_ms": WAITS_MS,
    "quiet_days": (1, 7, 30),
    "volume_nl": (10_000, 20_000, 50_000, 100_000),
    "duration_s": (1_800, 3_600, 7_200),
}
"""Values that are easy to read, the smallest first."""


def _fault(drew: Drew) -> Part:
    values = {key: drew[key] for key in PROVOKED[drew["fault"]].values if key in drew}
    return "fault", {"fault": drew["fault"], **values, "start": AT_ONCE, **TIMING}


def _pair(drew: Drew) -> Iterator[Part]:
    work = WORKS[drew["work"]]
    yield "check_up", {}
    if work.begins is not None:
        yield work.begins, {}
    if drew.get("fault") in PROVOKED:
        yield _fault(drew)
        if work.then is not None:
            yield work.then, {}
        yield PROVOKED[drew["fault"]].by, {}


def _quiet_weeks(drew: Drew) -> Iterator[Part]:
    yield "check_up", {"dose_ng_per_day": drew["dose_ng_per_day"]}
    if "fault" in drew:
        yield _fault(drew)
    if "quiet_days" in drew:
        yield "wait", {"wait_ms": drew["quiet_days"] * MS_PER_DAY}


def _check_up(drew: Drew) -> Iterator[Part]:
    yield from (("cure_all", {}), ("restart", {}), ("wait", {"wait_ms": MS_PER_HOUR}), ("leave", {}))
    yield from (("set_right_clock", {}), ("refill_well", {}), ("acknowledge_all", {}))
    yield "slow_program", {key: drew[key] for key in ("dose_ng_per_day",) if key in drew}
    yield "acknowledge_all", {}


def _ask_beside_a_bolus(drew: Drew) -> Iterator[Part]:
    yield from (("boluses_of_a_program", {}), ("wait", {"wait_ms": 3_601 * MS_PER_S}))
    yield "bolus", {key: drew[key] for key in ("volume_nl", "duration_s") if key in drew}
    yield "ask_for_bolus", {}


PARTS: Final[dict[str, Callable[[Drew], Iterator[Part]]]] = {
    "pair": _pair,
    "quiet_weeks": _quiet_weeks,
    "check_up": _check_up,
    "ask_beside_a_bolus": _ask_beside_a_bolus,
    "patients_bolus": lambda _: iter(
        (("patients_program", {}), ("wait", {"wait_ms": 3_601 * MS_PER_S}), ("ask_for_bolus", {}))
    ),
    "silence": lambda drew: iter((("acknowledge_all", {}), ("wait", {"wait_ms": drew.get("wait_ms", 1)}))),
    "write": lambda _: iter(
        (("test_tone", {}), ("void", {}), ("wait", {"wait_ms": MS_PER_HOUR}), ("restart", {}))
    ),
    "pull_the_plug": lambda _: iter((("restart", {}),)),
    "time": lambda drew: iter((("wait", {"wait_ms": drew.get("wait_ms", MS_PER_HOUR)}),)),
    "hang": lambda _: iter((("fault", {"fault": "hung-task", "start": AT_ONCE, **TIMING}),)),
}
"""Deeds that are made of others, and of which."""


def simpler(deed: Deed, drew: Drew) -> Iterator[tuple[Deed, ...]]:
    """Rows that could stand in its place, the simplest first; `drew`: what it drew by name when it was played."""
    if deed.name in PARTS:
        yield tuple(Deed(deed.number, name, tuple(said.items())) for name, said in PARTS[deed.name](drew))
    plain = {"start": AT_ONCE, **TIMING} if "start" in drew else {}
    changed = {name: value for name, value in plain.items() if drew.get(name) != value}
    if len(changed) > 1:
        yield (_saying(deed, drew, changed),)
    for name, value in changed.items():
        yield (_saying(deed, drew, {name: value}),)
    for name, values in ROUND.items():
        if name in drew:
            for value in values:
                if value == drew[name] or (value > drew[name] and name in ("wait_ms", "quiet_days")):
                    break
                yield (_saying(deed, drew, {name: value}),)


def _saying(deed: Deed, drew: Drew, changed: dict[str, Any]) -> Deed:
    """The deed with this said of it; what belongs to what is said is said too, so that chance does not move it."""
    said = dict(deed.arguments)
    if deed.name == "fault" and "fault" not in said:
        said |= _fault(drew)[1] | {name: drew[name] for name in ("start", *TIMING) if name in drew}
    said |= changed
    if said.get("times") == 1:
        said.pop("every_ms", None)
    return deed._replace(arguments=tuple(said.items()))
