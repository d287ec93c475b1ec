"""`pumpbench explain`: why an alarm, a bolus or a change of state came about, by what a recording holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hil.capture.explanation import effects_of, explain, history_of, words_of
from hil.capture.history import FactKind
from hil.capture.messages import read_messages
from hil.capture.soundness import Soundness
from hil.cli.connection import tell_error
from hil.cli.documents import json_line
from hil.cli.output import say, tell
from hil.cli.reading_progress import shown_reading
from hil.cli.recording_options import KEY
from hil.errors import PumpbenchError, UsageError
from hil.key_file import read_keys
from hil.quantity_words import are, counted
from hil.wire_log import clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.capture.explanation import Effects, Explanation, Step
    from hil.capture.history import Fact, History

NUMBER: Final = click.IntRange(min=1)
KINDS: Final = {"alarms": "--alarm", "boluses": "--bolus", "state_changes": "--state-change"}
HEADINGS: Final = {"alarms": "alarms", "boluses": "boluses", "state_changes": "changes of state"}
ONE: Final = {"alarms": "alarm", "boluses": "bolus", "state_changes": "change of state"}
TOLD: Final = (
    "kind", "name", "number", "since_ns", "pump_ms", "running_ms", "seq", "cmd_id", "read_in", "answered_in",
    "fields", "text",
)  # fmt: skip


@click.command("explain")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--alarm", "alarms", metavar="N", type=NUMBER, help="Why the N-th alarm began.")
@click.option("--bolus", "boluses", metavar="N", type=NUMBER, help="Why the N-th bolus was given.")
@click.option(
    "--state-change",
    "state_changes",
    metavar="N",
    type=NUMBER,
    help="Why the state changed for the N-th time.",
)
@KEY
@click.option("--json", "as_json", is_flag=True, help="A JSON document on one line.")
def explain_command(file: Path, key_path: Path | None, as_json: bool, **numbers: int | None) -> None:
    """Walk back from an effect in a recording to its causes: request, entries of the log, events of the pump's world.

    Without an option it lists what can be asked about. What is not in the recording is said, and never guessed. A file
    that is damaged is read as far as it can be, and ends with 10.
    """
    try:
        _explain(
            file, key_path, {kind: number for kind, number in numbers.items() if number}, as_json=as_json
        )
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise


def _explain(file: Path, key_path: Path | None, asked: dict[str, int], *, as_json: bool) -> None:
    if len(asked) > 1:
        raise UsageError(
            f"{' and '.join(KINDS[kind] for kind in asked)} exclude each other", advice="ask one at a time"
        )
    soundness = Soundness()
    keys = [] if key_path is None else read_keys(key_path)
    with shown_reading(file) as seen:
        history = history_of(soundness.watching(read_messages(file, keys, seen=seen)))
    soundness.refuse_foreign(file)
    effects = effects_of(history)
    if asked:
        ((kind, number),) = asked.items()
        fact = _asked_for(effects, kind, number)
        why, ask = explain(history, fact), f"{KINDS[kind]} {number}"
        text = _explanation_line(why, ask, history) if as_json else _explanation_text(why, ask)
    else:
        text = _effects_line(effects, history) if as_json else _effects_text(effects)
    tell(text if as_json else "\n".join([text, *_unread(history)]))
    soundness.check(file, with_key=key_path is not None, advice="what is said is of what could be read")
    for remark in soundness.remarks(file):
        say(remark)


def _asked_for(effects: Effects, kind: str, number: int) -> Fact:
    found: Sequence[Fact] = getattr(effects, kind)
    if number > len(found):
        what = ONE[kind] if len(found) == 1 else HEADINGS[kind]
        raise UsageError(
            f"there is no {KINDS[kind]} {number}: the recording has {len(found) or 'no'} {what}",
            advice="without an option `pumpbench explain FILE` lists them",
        )
    return found[number - 1]


# --- as lines for people --------------------------------------------------------------------------------------------


def _effects_text(effects: Effects) -> str:
    lines: list[str] = []
    for kind, option in KINDS.items():
        found: Sequence[Fact] = getattr(effects, kind)
        lines.append(f"{HEADINGS[kind]}: {len(found) or 'none'}")
        lines += [f"  {f'{option} {number}':<18}{_line(fact)}" for number, fact in enumerate(found, start=1)]
    return "\n".join(lines)


def _explanation_text(why: Explanation, ask: str) -> str:
    named = [f"{words_of(cause)}, packet {cause.number}" for cause in why.causes]
    if len(named) > 1:
        answer = f"one of these, the recording does not tell which: {'; '.join(named)}"
    else:
        answer = named[0] if named else "the cause is not in this recording"
    lines = [f"why {words_of(why.effect)} ({ask}): {answer}"]
    for step in why.steps:
        lines.append(f"{_part(step):>8} {_line(step.fact)}")
        if step.link is not None:
            lines.append(f"{'':>50} led to the next: {step.link.value} [{step.source}]")
    return "\n".join([*lines, *(f"not here: {sentence}" for sentence in why.missing)])


def _part(step: Step) -> str:
    if step.link is None:
        return "effect"
    if step.beside:
        return "beside"
    return "cause" if step.first else ""


def _line(fact: Fact) -> str:
    """Packet, time on the line, time of the pump, and what it is."""
    line = "" if fact.since_ns is None else f"{fact.since_ns // 10**9}.{fact.since_ns % 10**9 // 1_000:06}"
    pump_ms = fact.running_ms if fact.pump_ms is None else fact.pump_ms
    pump = "" if pump_ms is None else f"[{clock_text(pump_ms)}]"
    told = "" if fact.marked or fact.kind is not FactKind.LOG_ENTRY else ", as the log tells"
    answered = "" if fact.answered_in is None else f" (answered in {fact.answered_in})"
    read = f" (told in {fact.read_in})" if fact.read_in not in (None, fact.number) else ""
    return f"{fact.number:>6} {line:>15} {pump:<18} {_said(fact)}{told}{answered}{read}"


def _said(fact: Fact) -> str:
    fields = ", ".join(
        f"{name} {value}" for name, value in fact.fields.items() if not isinstance(value, list)
    )
    match fact.kind:
        case FactKind.LOG_ENTRY:
            command = f" of command {fact.cmd_id}" if fact.cmd_id else ""
            return f"log {fact.name} #{fact.seq}{command}: {fields}".rstrip(": ")
        case FactKind.REQUEST:
            return f"request {fact.text}"
        case FactKind.ALARM:
            return f"alarm {fact.name}"
        case FactKind.STATUS:
            return f"state {fact.text}"
        case FactKind.FAULT:
            values = ", ".join(
                f"{each['name']} {each['value']}" for each in fact.fields.get("parameters", ())
            )
            return f"fault {fact.name}: {values}".rstrip(": ")
    return f"pump's world, {fact.name}: {fields}".rstrip(": ")


def _unread(history: History) -> list[str]:
    if not history.sealed:
        return []
    frames = f"{counted(history.sealed, 'frame')} {are(history.sealed)}"
    return [
        f"{frames} sealed, and no key opens them: what they said is in none of this (--key gives the device's)"
    ]


# --- as JSON --------------------------------------------------------------------------------------------------------


def _fact(fact: Fact) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in TOLD}


def _effects_line(effects: Effects, history: History) -> str:
    document = {
        kind: [
            {"ask": f"{option} {number}", **_fact(fact)}
            for number, fact in enumerate(getattr(effects, kind), start=1)
        ]
        for kind, option in KINDS.items()
    }
    return json_line("explain", {"entry": "effects", **document, **_unread_fields(history)})


def _explanation_line(why: Explanation, ask: str, history: History) -> str:
    document = {
        "entry": "explanation",
        "effect": {"ask": ask, **_fact(why.effect)},
        "causes": [_fact(cause) for cause in why.causes],
        "steps": [_step(step) for step in why.steps],
        "missing": list(why.missing),
    }
    return json_line("explain", document | _unread_fields(history))


def _step(step: Step) -> dict[str, Any]:
    link = None if step.link is None else step.link.value
    cause = step.first and not step.beside
    return {"link": link, "source": step.source, "beside": step.beside, "cause": cause, **_fact(step.fact)}


def _unread_fields(history: History) -> dict[str, Any]:
    return {"sealed": history.sealed, "damage": history.damage}
