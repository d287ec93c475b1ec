"""Reads a program file: TOML, each number with its unit. What cannot be meant is refused in one sentence.

A sentence names the file, the key, what came and what was expected.
"""

from __future__ import annotations

import difflib
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hil.errors import BadConfiguration
from hil.procedures.doses import NL_PER_ML, nearest, rate_for_dose_nl_per_day, volume_for_dose_nl
from hil.programmer.staging import HOURS_PER_DAY, DayGroup, Days, DoseStep
from hil.programs import declaration
from hil.programs.declaration import BLOCKS, GROUP, IN_EACH_MODE, MODES, PROGRAM, Room
from hil.programs.infusion_program import Course, InfusionProgram
from hil.programs.measures import DOSE_AN_HOUR, RATE, LengthOfTime, came, minute_of
from protocol.identifiers import InfusionMode
from protocol.messages.program import BridgeBlock, PatientBlock, PeriodicBlock, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.programs.measures import Kind

LONGEST_FILE = 100_000  # bytes; the largest program has 5,000
Table = dict[str, Any]


def read_program(path: str | Path) -> InfusionProgram:
    """The program of a TOML file; BadConfiguration says what is wrong with it, in one sentence."""
    name = str(path)
    return program_of(_text_of(Path(path), name), name)


def program_of(text: str, name: str) -> InfusionProgram:
    """The program of a TOML text; `name` is what its errors call it."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        why = str(error) or "it is nested too deep"
        raise BadConfiguration(f"{name} is not TOML: {why}", advice="nothing was sent") from error
    return program_of_document(document, name)


def program_of_document(document: Table, name: str) -> InfusionProgram:
    """The program of what a TOML text holds, errors as in `program_of`."""
    return _File(name).program(document)


def _text_of(path: Path, name: str) -> str:
    try:
        if path.exists() and not path.is_file():
            raise BadConfiguration(f"{name} is no file, and a program file is expected")
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise BadConfiguration(f"{name} has more than {LONGEST_FILE} bytes, and no program has so many")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{name} is not UTF-8 text, and TOML is expected") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadConfiguration(
            f"{name} cannot be read: {why}", advice="look at the name of the file"
        ) from error


class _File:
    """One file that is read; its name stands in each refusal."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _refuse(self, place: str, value: object, expected: str, why: str = "") -> NoReturn:
        reason = f": {why}" if why else ""
        raise BadConfiguration(
            f"{self._name}: {place} is {came(value)}, and {expected} is expected{reason}",
            advice="nothing was sent",
        )

    def _wrong(self, sentence: str) -> NoReturn:
        raise BadConfiguration(f"{self._name}: {sentence}", advice="nothing was sent")

    def program(self, document: Table) -> InfusionProgram:
        """The program of a whole file."""
        mode = self._mode(document)
        keys = MODES[mode]
        allowed = (*IN_EACH_MODE, *keys.required, *keys.optional, *BLOCKS)
        others = {name for each in MODES.values() for name in (*each.required, *each.optional)} - set(allowed)
        for name in document:
            if name in others:
                self._wrong(f"{name} is there, and a program of mode {keys.name!r} has {', '.join(allowed)}")
        self._check_names("", document, allowed)
        self._check_there("", document, (*IN_EACH_MODE, *keys.required))
        values = self._values("", PROGRAM, document)
        concentration = values["concentration"]
        courses: tuple[Course, ...]
        if mode is InfusionMode.FLEX:
            courses = self._groups(document["group"], concentration)
        else:
            courses = self._constant(mode, values)
        blocks = {name: self._block(name, document, concentration) for name in BLOCKS}
        old = blocks["bridge"].get("old_concentration")
        bridge = {key: value for key, value in blocks["bridge"].items() if key != "old_concentration"}
        return InfusionProgram(
            mode,
            values["drug"],
            concentration,
            courses,
            PeriodicBlock(**blocks["periodic"]) if blocks["periodic"] else None,
            PatientBlock(**blocks["patient"]) if blocks["patient"] else None,
            BridgeBlock(**bridge) if bridge else None,
            old,
        )

    def _mode(self, document: Table) -> InfusionMode:
        names = {mode.name: key for key, mode in MODES.items()}
        self._check_there("", document, ("mode",))
        value = document["mode"]
        if not isinstance(value, str) or value not in names:
            self._refuse("mode", value, f"one of {', '.join(map(repr, names))}", _meant(value, names))
        return names[value]

    def _constant(self, mode: InfusionMode, values: Mapping[str, int]) -> tuple[Course, ...]:
        """The one course of a constant rate; of minimum rate none where the pump's own rate is meant."""
        concentration = values["concentration"]
        if mode is InfusionMode.MINIMUM_RATE and "rate" not in values:
            if "dose" in values:
                self._wrong("dose is there without rate, and minimum_rate runs at the pump's own rate")
            return ()
        rate = values.get("rate")
        if rate is None:
            rate = rate_for_dose_nl_per_day(values["dose"], concentration)
        dose = values.get("dose")
        if dose is None:
            dose = rate * concentration // NL_PER_ML
        return (Course(Days.EVERY_DAY, (Segment(0, rate),), dose),)

    def _groups(self, groups: object, concentration: int) -> tuple[Course, ...]:
        if not isinstance(groups, list) or not all(isinstance(each, dict) for each in groups):
            self._refuse("group", groups, "a table of each group of days, under [[group]]")
        if len(groups) not in declaration.GROUPS:
            self._refuse("group", groups, f"1 to {declaration.GROUPS[-1]} groups of days")
        courses: list[Course] = []
        for number, group in enumerate(groups, start=1):
            place = f"group {number}"
            days = self._days(f"{place} days", group)
            for earlier, course in enumerate(courses, start=1):
                if twice := course.days & days:
                    names = " and ".join(declaration.days_in_words(twice))
                    self._wrong(
                        f"{place} days has {names}, which group {earlier} has too, and each day is in one group"
                    )
            courses.append(self._course(place, days, group, concentration))
        missing = Days.EVERY_DAY & ~sum(int(course.days) for course in courses)
        if missing:
            names = ", ".join(declaration.days_in_words(Days(missing)))
            self._wrong(f"the groups leave out {names}, and each day of the week in one group is expected")
        return tuple(courses)

    def _days(self, place: str, group: Table) -> Days:
        if "days" not in group:
            self._wrong(f"{place} is not there, and {declaration.DAYS_WORDS} is expected")
        value = group["days"]
        found = Days(0)
        for name in value if isinstance(value, list) else [value]:
            days = named_or_none(name)
            if days is None:
                known = [*declaration.DAY_SETS, *declaration.DAY_NAMES]
                self._refuse(place, name, declaration.DAYS_WORDS, _meant(name, known))
            if twice := found & days:
                names = " and ".join(declaration.days_in_words(twice))
                self._wrong(f"{place} has {names} twice, and each day is there once")
            found |= days
        if not found:
            self._refuse(place, value, declaration.DAYS_WORDS)
        return found

    def _course(self, place: str, days: Days, group: Table, concentration: int) -> Course:
        steps = {name: value for name, value in group.items() if minute_of(name) is not None}
        rest = {name: value for name, value in group.items() if name not in steps and name != "days"}
        for name in rest:
            if name[:1].isdigit():
                self._wrong(
                    f"{place} has the key {name!r}, and a time of day from 00:00 to 23:59 is expected"
                )
        self._check_names(place, rest, GROUP.names, more=("days", "times of day such as 06:00"))
        prescribed = self._values(place, GROUP, rest).get("dose")
        if "00:00" not in steps:
            first = f"its first step is at {min(steps)}" if steps else "it has no step"
            self._wrong(f"{place} says nothing from midnight on ({first}), and a step at 00:00 is expected")
        if len(steps) > declaration.STEPS_MAX:
            self._wrong(
                f"{place} has {len(steps)} steps, and at most {declaration.STEPS_MAX} a day are expected"
            )
        rows, doses = [], []
        for name in sorted(steps):
            where, minute = f'{place} "{name}"', minute_of(name) or 0
            rate, dose = self._step(where, steps[name], concentration)
            rows.append(Segment(minute, rate))
            doses.append(DoseStep(minute, dose or 0))
        course = Course(days, tuple(rows), 0)
        if prescribed is None:
            by_doses = all(DOSE_AN_HOUR.has_unit_of(value) for value in steps.values())
            exact = DayGroup(days, tuple(doses)).dose_ng_per_day
            prescribed = exact if by_doses else dose_of_course(course, concentration)
        return course._replace(dose_ng_per_day=prescribed)

    def _step(self, place: str, value: object, concentration: int) -> tuple[int, int | None]:
        """The rate of a step in nL/day, and its dose an hour where it is written as one."""
        if RATE.has_unit_of(value):
            return self._value(place, RATE, value), None
        try:
            dose = DOSE_AN_HOUR.read(value)
        except ValueError as error:
            expected = (
                f"{DOSE_AN_HOUR.words} such as {DOSE_AN_HOUR.example!r} or a rate such as {RATE.example!r}"
            )
            self._refuse(place, value, expected, str(error))
        return rate_for_dose_nl_per_day(dose * HOURS_PER_DAY, concentration), dose

    def _block(self, name: str, document: Table, concentration: int) -> dict[str, int]:
        """The fields of a block as the wire has them; empty where it is not there."""
        if name not in document:
            return {}
        table, room = document[name], BLOCKS[name]
        if not isinstance(table, dict):
            self._refuse(name, table, f"a table under [{name}]")
        self._check_names(name, table, room.names)
        self._check_there(name, table, room.required)
        self._check_either(name, room, table)
        found = self._values(name, room, table)
        if name == "bridge":
            volume = found["volume"] if "volume" in found else found["catheter"] + found["tubing"]
            old = found.get("old_concentration")
            rate = found.get("rate")
            if rate is None and old is not None:
                rate = rate_for_dose_nl_per_day(found["dose"], old)
            fields = {"volume_nl": volume, "rate_nl_per_day": rate or 0}
            return fields if old is None else {**fields, "old_concentration": old}
        volume = found["volume"] if "volume" in found else volume_for_dose_nl(found["dose"], concentration)
        spans = {f"{key.name}_s": found[key.name] for key in room.keys if isinstance(key.kind, LengthOfTime)}
        counts = {"max_count": found["max_count"]} if "max_count" in found else {}
        return {"volume_nl": volume, **spans, **counts}

    def _check_names(self, place: str, table: Table, names: Iterable[str], more: Iterable[str] = ()) -> None:
        known = [*names, *more]
        for name in table:
            if name not in known:
                whole = f"{place} {name}".strip()
                near = _meant(name, known)
                self._wrong(
                    f"{whole} is not known, and one of {', '.join(known)} is expected{': ' + near if near else ''}"
                )

    def _check_there(self, place: str, table: Table, names: Iterable[str]) -> None:
        for name in names:
            if name not in table:
                self._wrong(
                    f"{place} {name}".strip() + " is not there, and it is expected in each such program"
                )

    def _check_either(self, place: str, room: Room, table: Table) -> None:
        for sets in room.either:
            there = [names for names in sets if any(name in table for name in names)]
            whole = [names for names in there if all(name in table for name in names)]
            if len(there) != 1 or len(whole) != 1:
                wanted = ", or ".join(" and ".join(names) for names in sets)
                has = ", ".join(name for names in there for name in names if name in table) or "none of them"
                self._wrong(f"{place} has {has}, and either {wanted} is expected")

    def _values(self, place: str, room: Room, table: Table) -> dict[str, int]:
        """The values of the keys that are there."""
        return {
            key.name: self._value(f"{place} {key.name}".strip(), key.kind, table[key.name])
            for key in room.keys
            if key.name in table
        }

    def _value(self, place: str, kind: Kind, value: object) -> int:
        try:
            return kind.read(value)
        except ValueError as error:
            self._refuse(place, value, f"{kind.words} such as {kind.example!r}", str(error))


def named_or_none(name: object) -> Days | None:
    """The days of a name in a file; None where it is none."""
    return declaration.named_days(name) if isinstance(name, str) else None


def dose_of_course(course: Course, concentration_ng_per_ml: int) -> int:
    """The dose of a day by its rates, to the nearest ng."""
    return nearest(Fraction(course.day_total_nl * concentration_ng_per_ml, NL_PER_ML))


def _meant(value: object, known: Iterable[str]) -> str:
    """The nearest of the known names, as a question; "" where none is near."""
    near = difflib.get_close_matches(str(value), list(known), n=1)
    return f"was {near[0]!r} meant?" if near else ""
