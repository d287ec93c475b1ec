"""Old and new settings side by side: all of them, those that differ marked [DOMAIN 2.3, S21]."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.procedures.doses import dose_for_rate_ng_per_day, drug_ng, nearest
from hil.programmer.staging import HOURS_PER_DAY, Days
from hil.programs.checks import daily_echo
from hil.programs.declaration import MODES, days_in_words
from hil.programs.infusion_program import single_days
from hil.programs.measures import time_of_day
from hil.quantity_words import duration, mcg, mcg_per_day, mcg_per_ml, ml, ml_per_day

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.programs.infusion_program import Course, InfusionProgram
    from protocol.messages.program import ProgVerifyReply

NONE = "-"
DIFFERENT = "*"


class Setting(NamedTuple):
    """One setting as it is and as it would be."""

    name: str
    old: str
    new: str

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.old != self.new


def settings(old: InfusionProgram | None, new: InfusionProgram) -> list[Setting]:
    """Each setting of both programs; days that share a course in both stand together."""
    return [
        Setting("mode", _mode(old), _mode(new)),
        Setting("drug", NONE if old is None else f"number {old.drug_id}", f"number {new.drug_id}"),
        Setting("concentration", _concentration(old), _concentration(new)),
        *_courses(old, new),
        *_blocks(old, new),
    ]


def review_lines(rows: Sequence[Setting], heads: tuple[str, str] = ("now", "new")) -> list[str]:
    """The settings as aligned lines under the two heads, a mark before each that differs."""
    head = Setting("", *heads)
    widths = [max(len(row[column]) for row in (head, *rows)) for column in (0, 1)]
    return [
        f"{DIFFERENT if row.differs and row is not head else ' '} "
        f"{row.name:<{widths[0]}}  {row.old:<{widths[1]}}  {row.new}".rstrip()
        for row in (head, *rows)
    ]


def reading_rows(program: InfusionProgram, read: ProgVerifyReply) -> list[tuple[str, str]]:
    """What the pump itself has read: the total of each group's day, and the fastest basal rate."""
    rows = []
    for course, total_nl in zip(program.courses, read.day_totals_nl, strict=False):
        dose = mcg(nearest(drug_ng(total_nl, program.concentration_ng_per_ml)))
        rows.append((f"pump reads, {_days(course.days)}", f"{ml(total_nl)} a day ({dose}) of basal rate"))
    rows.append(("pump reads, peak", ml_per_day(read.peak_rate_nl_per_day)))
    return rows


def _mode(program: InfusionProgram | None) -> str:
    return NONE if program is None else MODES[program.mode].name


def _concentration(program: InfusionProgram | None) -> str:
    return NONE if program is None else mcg_per_ml(program.concentration_ng_per_ml)


def _days(days: Days) -> str:
    return ", ".join(days_in_words(days))


def _courses(old: InfusionProgram | None, new: InfusionProgram) -> Iterator[Setting]:
    """The dose of a day and each rate of it, for each set of days that share one course in both programs."""
    shared: dict[tuple[int, int], Days] = {}
    for day in single_days(Days.EVERY_DAY):
        places = _place_of(old, day), _place_of(new, day)
        shared[places] = shared.get(places, Days(0)) | day
    for (old_place, new_place), days in shared.items():
        before = None if old is None or old_place < 0 else old.courses[old_place]
        after = new.courses[new_place] if new_place >= 0 else None
        name = _days(days)
        yield Setting(f"{name}, prescribed", _prescribed(before), _prescribed(after))
        starts = sorted(
            {row.start_min for course in (before, after) if course is not None for row in course.segments}
        )
        for minute in starts:
            yield Setting(
                f"{name}, {time_of_day(minute)}", _rate(old, before, minute), _rate(new, after, minute)
            )


def _place_of(program: InfusionProgram | None, day: Days) -> int:
    courses = () if program is None else program.courses
    return next((place for place, course in enumerate(courses) if day in course.days), -1)


def _prescribed(course: Course | None) -> str:
    return NONE if course is None else mcg_per_day(course.dose_ng_per_day)


def _rate(program: InfusionProgram | None, course: Course | None, minute: int) -> str:
    if program is None or course is None:
        return NONE
    rate = course.rate_at(minute)
    dose = nearest(dose_for_rate_ng_per_day(rate, program.concentration_ng_per_ml) / HOURS_PER_DAY)
    return f"{mcg(dose)}/h ({ml_per_day(rate)})"


def _blocks(old: InfusionProgram | None, new: InfusionProgram) -> Iterator[Setting]:
    """The fields of each block that one of both has, and what its boluses add up to."""
    before, after = _block_words(old), _block_words(new)
    for name in [*before, *(name for name in after if name not in before)]:
        yield Setting(name, before.get(name, NONE), after.get(name, NONE))


def _block_words(program: InfusionProgram | None) -> dict[str, str]:
    if program is None:
        return {}
    words: dict[str, str] = {}
    echoes = dict(daily_echo(program))
    for name, block in (("periodic", program.periodic), ("patient", program.patient)):
        if block is None:
            continue
        dose = mcg(nearest(drug_ng(block.volume_nl, program.concentration_ng_per_ml)))
        words[f"{name} bolus"] = f"{dose} ({ml(block.volume_nl)})"
        for field, value in block._asdict().items():
            if field.endswith("_s"):
                words[f"{name} {field.removesuffix('_s').replace('_', ' ')}"] = duration(value)
        if block is program.patient:
            words["patient maximum"] = f"{program.patient.max_count} in {duration(program.patient.window_s)}"
        words[f"{name} in a day"] = echoes[name]
    if program.bridge is not None:
        words["bridge volume"] = ml(program.bridge.volume_nl)
        words["bridge rate"] = ml_per_day(program.bridge.rate_nl_per_day)
    return words
