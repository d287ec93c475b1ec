"""What a rig saw of a pump, read from the JSON that `pumpbench rig` printed: samples of its state, spans and moments.

Files hold documents one after another: lines of `advance --every --json` and `watch --json`, pages of `trace --json`.
"""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SAMPLE: Final = "pumpbench/rig-advance"
DRAWN_OF_TRUTH: Final = ("true_nl_ppm", "tip_fg_ppm", "reservoir_ng_per_ml")
DRAWN_OF_BELIEF: Final = ("reservoir_calc_nl", "rate_nl_per_day")
_SPACE: Final = " \t\r\n"


class Sample(NamedTuple):
    """Truth and belief at one pump time, and the names of the faults that were on. Belief is None without power."""

    now_ms: int
    truth: Mapping[str, Any]
    belief: Mapping[str, Any] | None
    faults_on: tuple[str, ...]


class Span(NamedTuple):
    """A fault or an alarm from its beginning to its end; a moment has both in one, and what did not end has None."""

    name: str
    begins_ms: int
    ends_ms: int | None


class Recording(NamedTuple):
    """All of it, in the order of time."""

    samples: tuple[Sample, ...]
    faults: tuple[Span, ...]
    alarms: tuple[Span, ...]
    moments: tuple[Span, ...]
    """Power that was lost, and what went through the needle."""


def read_recording(paths: Iterable[Path]) -> Recording:
    """What files say together; BadConfiguration for one that holds something else, or where no state is in any."""
    samples: list[Sample] = []
    events: list[Mapping[str, Any]] = []
    for path in paths:
        for document in _documents(path):
            try:
                if document.get("schema") == SAMPLE and "truth" in document:
                    samples.append(_sample(document))
                else:
                    events += _events(document)
            except (KeyError, TypeError, AttributeError) as error:
                raise BadConfiguration(
                    f"{path} has a document that is no state and has no events: {str(document)[:60]}",
                    advice="write it with `pumpbench rig advance H:MM --every H:MM --json` or `rig trace --json`",
                ) from error
    if not samples:
        raise BadConfiguration(
            "no state of a pump is in what was recorded, and nothing can be drawn",
            advice="record some with `pumpbench rig advance H:MM --every H:MM --json >>FILE`",
        )
    samples.sort(key=lambda sample: sample.now_ms)  # stable: what follows at one time stays behind
    events.sort(key=lambda event: operator.index(event["now_ms"]))
    faults = _spans(events, "FaultInjected", "FaultCleared", "name")
    return Recording(
        tuple(samples),
        tuple(_ended_by_samples(span, samples) for span in faults),
        _spans(events, "AlarmRaised", "AlarmCleared", "alarm_id"),
        tuple(_moments(events)),
    )


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON documents of a file, however they are set."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadConfiguration(f"{path} cannot be read: {why}", advice="name a file of documents") from error
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
            continue
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, at) + 1
            raise BadConfiguration(
                f"{path} is no JSON from line {line} on", advice="record with --json, and append with >>"
            ) from error
        yield document


def _sample(document: Mapping[str, Any]) -> Sample:
    """A state; KeyError or TypeError where one of the numbers that are drawn is missing or none."""
    truth, belief = document["truth"], document["belief"]
    for side, names in ((truth, DRAWN_OF_TRUTH), (belief, DRAWN_OF_BELIEF)):
        for name in () if side is None else names:
            operator.index(side[name])
    return Sample(operator.index(document["now_ms"]), truth, belief, tuple(document["faults_on"]))


def _events(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Events of a page of a trace, or the one of a line of `watch`; KeyError where a document has none."""
    found = document["events"] if "events" in document else [document["event"]]
    events = [event for event in found if event is not None]  # null stands for some that were lost
    for event in events:
        _ = event["kind"], operator.index(event["now_ms"]), event["fields"].keys()
    return events


def _spans(events: Iterable[Mapping[str, Any]], begins: str, ends: str, name_field: str) -> tuple[Span, ...]:
    """Spans from an event of one kind to the next of the other kind with the same name."""
    spans: list[Span] = []
    open_at: dict[str, int] = {}
    for event in events:
        name, now_ms = str(event["fields"].get(name_field)), event["now_ms"]
        if event["kind"] == begins and name not in open_at:
            open_at[name] = len(spans)
            spans.append(Span(name, now_ms, None))
        elif event["kind"] == ends and name in open_at:
            at = open_at.pop(name)
            spans[at] = spans[at]._replace(ends_ms=now_ms)
    return tuple(spans)


def _ended_by_samples(span: Span, samples: list[Sample]) -> Span:
    """A fault that nobody cleared ended by itself by the first sample without it; in no sample, it was a moment."""
    if span.ends_ms is not None or span.name in samples[-1].faults_on:
        return span
    later = [each for each in samples if each.now_ms >= span.begins_ms]
    last_on = max((at for at, each in enumerate(later) if span.name in each.faults_on), default=None)
    return span._replace(ends_ms=span.begins_ms if last_on is None else later[last_on + 1].now_ms)


def _moments(events: Iterable[Mapping[str, Any]]) -> Iterator[Span]:
    names = {"PowerLost": "power lost", "SyringeFilled": "fill", "SyringeAspirated": "aspiration"}
    for event in events:
        if event["kind"] in names:
            yield Span(names[event["kind"]], event["now_ms"], event["now_ms"])
