"""Requirements, and what one run shows of each: a row for every one, also where nothing was shown. No pytest here."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hil.errors import BadConfiguration
from hil.report.records import BAD, GOOD, CaseRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.report.records import RunRecord

OUR_REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.toml"
BY_TEST = "test"


class Shown(StrEnum):
    """What a run shows of a requirement, the worst first."""

    FAILED = "failed"
    NOT_RUN = "not run"
    NOT_CHOSEN = "not chosen"
    NO_TEST = "no test"
    IN_PART = "passed in part"
    PASSED = "passed"
    REVIEW = "by review"
    ANALYSIS = "by analysis"


SETTLED = frozenset({Shown.PASSED, Shown.REVIEW, Shown.ANALYSIS})
_WITHOUT_TEST = {"review": Shown.REVIEW, "analysis": Shown.ANALYSIS}


class Requirement(NamedTuple):
    """A requirement as its file has it. `source` is its parent; `evidence` a page and heading where no test is."""

    name: str
    sentence: str
    source: str
    verified_by: str = BY_TEST
    evidence: str = ""


class Row(NamedTuple):
    """A requirement in a run; `missing` are tests that claim it and did not run, `not_chosen` those left out of it."""

    requirement: Requirement
    shown: Shown
    tests: tuple[CaseRecord, ...] = ()
    missing: tuple[str, ...] = ()
    not_chosen: tuple[str, ...] = ()


def read_requirements(more: Iterable[Path]) -> dict[str, Requirement]:
    """Our requirements and those of these files, by id; BadConfiguration where one cannot be read."""
    known = dict(_ours())
    for path in more:
        known.update(_in_file(path))
    return known


@cache
def _ours() -> dict[str, Requirement]:
    """Those that come with us: a run asks twice, for its marks and for its report."""
    return _in_file(OUR_REQUIREMENTS)


def _in_file(path: Path) -> dict[str, Requirement]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadConfiguration(f"the requirements in {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BadConfiguration(f"the requirements in {path} are no TOML ({error})") from error
    return {name: _requirement(name, entry) for name, entry in document.items()}


def _requirement(name: str, entry: object) -> Requirement:
    """An entry of a file; those of others may lack what ours have."""
    fields = entry if isinstance(entry, dict) else {}
    text = {key: str(fields[key]) for key in Requirement._fields[1:] if key in fields}
    return Requirement(name, **({"sentence": "", "source": ""} | text))


def rows_of(run: RunRecord, requirements: dict[str, Requirement]) -> list[Row]:
    """A row for each requirement, in the order of their files; those that only a test names come last."""
    tests: defaultdict[str, list[CaseRecord]] = defaultdict(list)
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for test in run.tests:
        for name in test.requirements:
            tests[name].append(test)
    for test_name in run.did_not_run():
        for name in run.claims.get(test_name, ()):
            missing[name].append(test_name)
    not_chosen: defaultdict[str, list[str]] = defaultdict(list)
    for test_name, names in run.claims_not_chosen.items():
        for name in names:
            not_chosen[name].append(test_name)
    rows = []
    for name in dict.fromkeys([*requirements, *tests, *missing, *not_chosen]):
        requirement = requirements.get(name, Requirement(name, "", ""))
        shown = _shown(requirement, tests[name], missing[name], not_chosen[name])
        rows.append(
            Row(requirement, shown, tuple(tests[name]), tuple(missing[name]), tuple(not_chosen[name]))
        )
    return rows


def _shown(
    requirement: Requirement, tests: list[CaseRecord], missing: list[str], not_chosen: list[str]
) -> Shown:
    verdicts = {test.verdict for test in tests}
    if not verdicts.isdisjoint(BAD):
        return Shown.FAILED
    if verdicts.isdisjoint(GOOD):
        if verdicts or missing:
            return Shown.NOT_RUN
        if not_chosen:
            return Shown.NOT_CHOSEN
        return _WITHOUT_TEST.get(requirement.verified_by, Shown.NO_TEST)
    if missing or not_chosen or len(verdicts) > 1 or any(test.reason for test in tests):
        return Shown.IN_PART
    return Shown.PASSED


def parents_of(rows: Iterable[Row]) -> dict[str, tuple[Shown, list[Row]]]:
    """Each source that requirements come from: the worst of what is shown of them, and they."""
    children: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.requirement.source:
            children[row.requirement.source].append(row)
    order = list(Shown)
    return {
        source: (min((row.shown for row in of_it), key=order.index), of_it)
        for source, of_it in sorted(children.items())
    }
