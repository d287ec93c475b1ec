"""A row of deeds as text on a command line, and what can be said of a deed.

`3,7,12` are deeds of the life's row by their numbers, as chance has them; `7:wait(wait_ms=1)` says of number 7 what it
is and what of it is not left to chance.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from firmware_emu.faults.catalogue import FAULTS
from hil.campaign.deed import Argument, Deed
from hil.campaign.life import DEEDS
from hil.campaign.life_faults import PROVOKED
from hil.campaign.pairs import WORKS
from hil.campaign.playing import life_of
from hil.campaign.world import START_WORDS
from hil.errors import BadConfiguration, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hil.campaign.plan import Plan

TIME_MAX: Final = 1 << 40
PARTS_OF_DEEDS: Final = (
    *("pair", "quiet_weeks", "time", "knock", "write", "two_days_of_standing"),
    *("cure_all", "set_right_clock", "refill_well", "slow_program", "acknowledge_all"),
    "patients_program",
    *(name for work in WORKS.values() for name in (work.begins, work.then) if name is not None),
)
KNOWN: Final = frozenset({*DEEDS, *PARTS_OF_DEEDS})
"""All that can be done in a life, by name."""


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value <= TIME_MAX


NUMBERED: Final = ("wait_ms", "quiet_days", "dose_ng_per_day", "volume_nl", "duration_s", "times")
PARAMETERS: Final = frozenset(key for provoked in PROVOKED.values() for key in provoked.values)
ARGUMENTS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    **{name: (lambda value: value is None or type(value) is int, "a whole number") for name in PARAMETERS},
    **dict.fromkeys(NUMBERED, (_is_whole, f"a whole number from 0 to {TIME_MAX}")),
    **{
        name: (
            lambda value: value is None or _is_whole(value),
            f"none, or a whole number from 0 to {TIME_MAX}",
        )
        for name in ("for_ms", "every_ms")
    },
    "fault": (FAULTS.__contains__, "a fault of the catalogue"),
    "work": (WORKS.__contains__, f"one of {', '.join(WORKS)}"),
    "start": (START_WORDS.__contains__, f"one of {', '.join(START_WORDS)}"),
}
"""What can be said of a deed, and what is expected of it."""
_DEED: Final = re.compile(r"\s*([0-9]{1,100})(?::(\w+)(?:\(([^()]*)\))?)?\s*(?:,|$)")


def planned_row(plan: Plan, seed: int) -> dict[int, Deed]:
    """All deeds that a life of the plan may have, by number; of each pair as often as it may be tried."""
    return {deed.number: deed for deed in life_of(plan, seed).row(*_of(plan, seed))}


def _of(plan: Plan, seed: int) -> tuple[int, tuple[tuple[str, str], ...], int]:
    return plan.deeds, () if plan.has_twin(seed) else plan.pairs_of(seed), plan.quiet_stretches


def row_text(row: Iterable[Deed], planned: Mapping[int, Deed]) -> str:
    """The row as it stands on a command line: numbers alone where the deed is the planned one."""
    return ",".join(_deed_text(deed, planned) for deed in row)


def _deed_text(deed: Deed, planned: Mapping[int, Deed]) -> str:
    if planned.get(deed.number) == deed:
        return str(deed.number)
    said = ",".join(f"{name}={'none' if value is None else value}" for name, value in deed.arguments)
    return f"{deed.number}:{deed.name}({said})" if said else f"{deed.number}:{deed.name}"


def row_of_text(text: str, planned: Mapping[int, Deed]) -> tuple[Deed, ...]:
    """The row that a command line says; BadConfiguration where it says none."""
    row: list[Deed] = []
    at = 0
    while at < len(text):
        found = _DEED.match(text, at)
        if found is None:
            raise BadConfiguration(
                in_one_line(f"--deeds: {text[at : at + 40]!r} is no deed"),
                advice="say numbers of deeds, or NUMBER:NAME(WHAT=VALUE,...), with commas between",
            )
        number, name, said = int(found[1]), found[2], found[3]
        if name is not None:
            row.append(checked_deed(Deed(number, name, _arguments(said or ""))))
        elif number in planned:
            row.append(planned[number])
        else:
            raise BadConfiguration(
                f"--deeds: the life has no deed {number}", advice=f"its numbers are 1 to {max(planned)}"
            )
        at = found.end()
    if not row:
        raise BadConfiguration("--deeds: nothing is to be done")
    return tuple(row)


def _arguments(said: str) -> tuple[Argument, ...]:
    arguments = []
    for each in filter(None, map(str.strip, said.split(","))):
        name, _, value = each.partition("=")
        number = re.fullmatch(r"-?[0-9]{1,15}", value)
        arguments.append((name, int(value) if number else None if value == "none" else value))
    return tuple(arguments)


def checked_deed(deed: Deed) -> Deed:
    """The deed, if it can be done; BadConfiguration says what of it cannot be."""
    if deed.name not in KNOWN:
        raise BadConfiguration(in_one_line(f"deed {deed.number}: there is no deed {deed.name!r}"))
    for name, value in deed.arguments:
        if name not in ARGUMENTS:
            raise BadConfiguration(in_one_line(f"deed {deed.number}: nothing is said of {name!r}"))
        accepts, expected = ARGUMENTS[name]
        if not accepts(value):
            raise BadConfiguration(
                in_one_line(f"deed {deed.number}: {name} must be {expected}, is {value!r}")
            )
    if deed.name == "pair" and {"fault", "work"} - {name for name, _ in deed.arguments}:
        raise BadConfiguration(f"deed {deed.number}: a pair needs fault and work")
    return deed
