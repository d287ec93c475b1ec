"""What `pumpbench hil compare` prints of two runs: lines for people, and one JSON object."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from hil.cli.diff_command import in_unit
from hil.cli.documents import error_fields, json_text
from hil.comparison.differences import How
from hil.frame_words import value_text
from hil.latency import ANSWERS_MIN
from hil.quantity_words import counted
from hil.report.summary import DID_NOT_RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hil.comparison.differences import Difference
    from hil.comparison.runs import FieldOfRuns, OutcomeDifference, RunComparison
    from hil.errors import PumpbenchError
    from hil.latency import Quantiles, Shift
    from hil.report.reading import ReadReport

SIDES: Final = ("first", "second")
NAMES_SHOWN: Final = 5
FIELDS_SHOWN: Final = 20
VALUE_WIDTH: Final = 60
ALONE_WORDS: Final = {
    How.MISSING: "said in the first alone",
    How.EXTRA: "said in the second alone",
}


def many(count: int, what: str) -> str:
    """How many of something that may be a kind: 2 kinds of request."""
    return f"{count} kinds of request" if what == "kind of request" and count != 1 else counted(count, what)


# --- as lines for people --------------------------------------------------------------------------------------------


def comparison_lines(found: RunComparison) -> Iterator[str]:
    """The comparison in lines for people, outcome, timing and bytes one behind another."""
    for name, report in zip(SIDES, (found.first, found.second), strict=True):
        yield f"{name:<7} {report.result}; report: {report.directory}"
        yield f"{'':<7} {report.device}{_made_of(report)}"
    yield from (f"!!! {each}" for each in found.troubles)
    staying = [report.target for report in (found.first, found.second) if report.stays]
    if staying:
        yield f"{' and '.join(dict.fromkeys(staying))} was there before: what earlier tests left in it may show below"
    yield ""
    yield from _outcome_lines(found)
    yield ""
    yield from _timing_lines(found)
    yield ""
    yield from _bytes_lines(found)


def _made_of(report: ReadReport) -> str:
    chosen = (("profile", report.profile), ("seed", report.seed), ("pumpbench", report.version))
    return "".join(f", {name} {value}" for name, value in chosen if value is not None)


def _outcome_lines(found: RunComparison) -> Iterator[str]:
    tests = len({*found.first.tests, *found.second.tests})
    said = f"{len(found.outcomes)} differ" if found.outcomes else "all end alike"
    yield f"outcome: of {counted(tests, 'test')} {said}; {found.executed} executed on both"

    def kind(each: OutcomeDifference) -> tuple[str, str, str]:
        of_its_own = {each.first, each.second} & {"failed", "error", DID_NOT_RUN}
        return each.first, each.second, "" if of_its_own else each.reason

    for (first, second, reason), group in groupby(sorted(found.outcomes, key=kind), kind):
        rows = list(group)
        yield f"  {first} | {second}, {counted(len(rows), 'test')}{f': {reason}' if reason else ''}"
        if DID_NOT_RUN in (first, second):
            continue  # that the run is not complete stands above
        for row in rows[:NAMES_SHOWN]:
            yield f"    {row.test}{'' if reason or not row.reason else f': {row.reason.splitlines()[0]}'}"
        if len(rows) > NAMES_SHOWN:
            yield f"    and {len(rows) - NAMES_SHOWN} more"


def _timing_lines(found: RunComparison) -> Iterator[str]:
    if found.timing_not_compared:
        yield f"timing: not compared: {found.timing_not_compared}"
        return
    judged = [each for each in found.timing if each.is_judged]
    few = len(found.timing) - len(judged)
    yield (
        f"timing: of {many(len(judged), 'kind of request')} {len(found.shifted) or 'none'} shifted; "
        f"{few} more with fewer than {ANSWERS_MIN} answers"
    )
    width = max((len(each.request) for each in found.shifted), default=0)
    for each in found.shifted:
        yield f"  {each.request:<{width}}  {_shift(each)}"
    if len(judged) > 2 and len(found.shifted) == len(judged):
        yield "  all of them: look at the line and the hosts before the pump"


def _shift(each: Shift) -> str:
    first, second = each.first, each.second
    factor = second.p50_us / max(first.p50_us, 1)
    often = f"x {factor:.1f}" if first.p50_us else "from none"
    return f"median {_ms(first.p50_us)} | {_ms(second.p50_us)} ms ({often}); {_spread(first)} | {_spread(second)}"


def _spread(quantiles: Quantiles) -> str:
    return f"{_ms(quantiles.p10_us)} to {_ms(quantiles.p90_us)} of {quantiles.answers}"


def _ms(latency_us: int) -> str:
    return f"{latency_us / 1000:.1f}"


def _bytes_lines(found: RunComparison) -> Iterator[str]:
    if found.bytes_not_compared:
        yield f"bytes: not compared: {found.bytes_not_compared}"
        return
    tests = {test for each in found.fields.values() for test in each.tests}
    said = (
        f"{counted(len(found.fields), 'field')} in {counted(len(tests), 'test')} differ"
        if tests
        else "the same"
    )
    compared = (
        f"{counted(found.compared_messages, 'message')} of {counted(found.compared_tests, 'test')} compared"
    )
    yield f"bytes: {compared}: {said}"
    by_tests = sorted(found.fields.values(), key=lambda each: -len(each.tests))
    fields = [each for each in by_tests if each.how is How.FIELD]
    for each in fields[:FIELDS_SHOWN]:
        seen = each.shown[0]
        yield f"  {each.place}: {_in_tests([each])}: {_values(seen.difference)}"
        yield f"    {seen.test}, packet {_packets(seen.difference)}"
    if len(fields) > FIELDS_SHOWN:
        yield f"  and {counted(len(fields) - FIELDS_SHOWN, 'field')} more (--json has all)"
    for how, words in ALONE_WORDS.items():
        alone = [each for each in by_tests if each.how is how]
        if alone:
            yield f"  {words}: {_in_tests(alone)}: {', '.join(_shown(each.place for each in alone))}"
            yield from (f"    {test}" for test in _shown(each.shown[0].test for each in alone))
    if found.sealed:
        tests_sealed = counted(len(found.sealed_tests), "test")
        yield f"  not compared: {counted(found.sealed, 'frame')} of {tests_sealed} that no key opens (--key FILE)"
    for name in found.only_recorded[:NAMES_SHOWN]:
        yield f"  {name} is in one recording alone"
    if found.hidden:
        places = ", ".join(_shown(each.partition(":")[0] for each in found.hidden))
        yield f"  the same by a rule alone: {places} (--json: how often)"
    for override in found.unused:
        yield f"  never applied: {override.rule} for {override.place} ({override.reason})"


def _in_tests(fields: list[FieldOfRuns]) -> str:
    tests = {test for each in fields for test in each.tests}
    return f"{counted(len(tests), 'test')}, {counted(sum(each.count for each in fields), 'time')}"


def _shown(names: Iterable[str]) -> Iterator[str]:
    """The first of these names, each once, and how many more there are."""
    each_once = list(dict.fromkeys(names))
    yield from each_once[:NAMES_SHOWN]
    if len(each_once) > NAMES_SHOWN:
        yield f"{len(each_once) - NAMES_SHOWN} more"


def _packets(difference: Difference) -> str:
    numbers = ["-" if each is None else str(each.number) for each in (difference.first, difference.second)]
    return " | ".join(numbers)


def _values(difference: Difference) -> str:
    """Both values of a field, the unit behind the second where both have one."""
    was, now = (in_unit(difference.place, value) for value in (difference.was, difference.now))
    number, _, unit = was.partition(" ")
    if unit and now.endswith(f" {unit}"):
        was = number
    return f"{_cut(was)} | {_cut(now)}"


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 3]}..."


# --- as JSON --------------------------------------------------------------------------------------------------------


def comparison_json(found: RunComparison, difference: PumpbenchError | None) -> str:
    """The same as a JSON object; `difference` is what the command ends with."""
    told = {} if difference is None else {"error": error_fields(difference)}
    return json_text(
        "hil-compare",
        {
            "alike": difference is None,
            "first": _run(found.first),
            "second": _run(found.second),
            "executed": found.executed,
            "outcomes": [each._asdict() for each in found.outcomes],
            "timing": [
                {
                    "request": each.request,
                    "shifted": each.is_shifted,
                    "judged": each.is_judged,
                    "first": each.first._asdict(),
                    "second": each.second._asdict(),
                }
                for each in found.timing
            ],
            "timing_not_compared": found.timing_not_compared,
            "fields": [_field(each) for each in found.fields.values()],
            "bytes_not_compared": found.bytes_not_compared,
            "compared_tests": found.compared_tests,
            "compared_messages": found.compared_messages,
            "sealed": found.sealed,
            "only_recorded": found.only_recorded,
            "ignored": [{"place_and_rule": name, "hid": hid} for name, hid in found.hidden.items()],
            "never_applied": [each.place for each in found.unused],
            "troubles": found.troubles,
            **told,
        },
    )


def _run(report: ReadReport) -> dict[str, Any]:
    return {
        "report": str(report.directory),
        "target": report.target,
        "device": report.device,
        "profile": report.profile,
        "seed": report.seed,
        "version": report.version,
        "result": report.result,
        "complete": report.is_complete,
    }


def _field(each: FieldOfRuns) -> dict[str, Any]:
    is_field = each.how is How.FIELD
    return {
        "how": each.how.value,
        "place": each.place,
        "count": each.count,
        "tests": len(each.tests),
        "shown": [
            {
                "test": seen.test,
                "first_number": None if seen.difference.first is None else seen.difference.first.number,
                "second_number": None if seen.difference.second is None else seen.difference.second.number,
                "first_value": value_text(seen.difference.was) if is_field else None,
                "second_value": value_text(seen.difference.now) if is_field else None,
            }
            for seen in each.shown
        ],
    }
