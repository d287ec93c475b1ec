"""The JSON document of `pumpbench hil compare`; `hil.cli.json_schema` describes it."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from hil.cli.documents import ErrorFields  # noqa: TC001 - the schema is made from it


class ComparedRunPart(TypedDict):
    """One of the two runs."""

    report: Annotated[str, "directory of its report"]
    target: Annotated[str, "address"]
    device: Annotated[str, "what the device said of itself"]
    profile: Annotated[str | None, "profile of a pump that was made for each test; null of a board"]
    seed: Annotated[int | None, "seed of such a pump; null of a board"]
    version: Annotated[str, "of pumpbench"]
    result: Annotated[str, "its counts in one line"]
    complete: Annotated[bool, "whether every chosen test has run"]


class OutcomePart(TypedDict):
    """A test that did not end alike."""

    test: Annotated[str, "name of the test"]
    first: Annotated[str, "passed, failed, error, skipped, xfailed, did not run; absent where there is none"]
    second: Annotated[str, "the same of the second run"]
    reason: Annotated[str, "why it was skipped or failed"]


class LatencyPart(TypedDict):
    """Latencies of one kind of request, by nearest rank."""

    answers: Annotated[int, "how many there are"]
    p10_us: Annotated[int, "a tenth of them is faster"]
    p50_us: Annotated[int, "the median"]
    p90_us: Annotated[int, "a tenth of them is slower"]
    max_us: Annotated[int, "the slowest"]


class TimingPart(TypedDict):
    """A kind of request of which both runs have answers."""

    request: Annotated[str, "name of its opcode"]
    shifted: Annotated[bool, "whether the latency is another"]
    judged: Annotated[bool, "false where there are too few answers to say"]
    first: Annotated[LatencyPart, "of the first run"]
    second: Annotated[LatencyPart, "of the second run"]


class SeenPart(TypedDict):
    """The first difference at a field in one test."""

    test: Annotated[str, "name of the test"]
    first_number: Annotated[int | None, "packet in the recording of the first run; null where it has none"]
    second_number: Annotated[int | None, "the same of the second"]
    first_value: Annotated[str | None, "value of the field; null where no field differs"]
    second_value: Annotated[str | None, "the same of the second"]


class FieldPart(TypedDict):
    """All differences of one kind at one field."""

    how: Annotated[str, "field, missing or extra: missing in the second run, extra in it"]
    place: Annotated[str, "message and field, without numbers of rows"]
    count: Annotated[int, "how often"]
    tests: Annotated[int, "in how many tests"]
    shown: Annotated[list[SeenPart], "the first of each of the first three tests"]


class HiddenPart(TypedDict):
    """A rule by which values that differ are the same."""

    place_and_rule: Annotated[str, "message, field and rule"]
    hid: Annotated[int, "how many pairs of values"]


class ComparePart(TypedDict):
    """What two runs do not have the same."""

    alike: Annotated[bool, "whether nothing differs, and both runs are whole"]
    first: Annotated[ComparedRunPart, "the first run"]
    second: Annotated[ComparedRunPart, "the second run"]
    executed: Annotated[int, "tests that were executed in both"]
    outcomes: Annotated[list[OutcomePart], "each test that did not end alike"]
    timing: Annotated[list[TimingPart], "each kind of request that both have answers of"]
    timing_not_compared: Annotated[str, "why; empty where it was"]
    fields: Annotated[list[FieldPart], "what was said otherwise, by field"]
    bytes_not_compared: Annotated[str, "why; empty where it was"]
    compared_tests: Annotated[int, "tests of which what was said was compared"]
    compared_messages: Annotated[int, "pairs of messages"]
    sealed: Annotated[int, "pairs of frames that no key opens, and that were not compared"]
    only_recorded: Annotated[list[str], "tests that one recording alone has, though both executed them"]
    ignored: Annotated[list[HiddenPart], "what is the same by a rule alone"]
    never_applied: Annotated[list[str], "fields with a rule of your own that no message has"]
    troubles: Annotated[list[str], "what keeps the comparison from being whole"]
    error: NotRequired[Annotated[ErrorFields, "present where the runs are not alike"]]


COMPARE_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {"hil-compare": ((ComparePart,),)}
