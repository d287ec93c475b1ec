"""The JSON documents of `pumpbench explain`; `hil.cli.json_schema` describes them."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict


class FactPart(TypedDict):
    """A thing that was so, and where the recording shows it."""

    kind: Annotated[str, "request, log entry, alarm, status, fault or event"]
    name: Annotated[str, "opcode, type of entry, alarm, state, fault, or kind of event"]
    number: Annotated[int, "packet in which it is first seen, from 1, as Wireshark counts"]
    since_ns: Annotated[
        int | None, "when that passed, since the first packet; null where the file has no times"
    ]
    pump_ms: Annotated[int | None, "time of the pump's world when it happened; null where it was not known"]
    running_ms: Annotated[
        int | None, "the pump's own running time then, as its log tells; null where it does not"
    ]
    seq: Annotated[int | None, "number of its entry in the log; null where it has none"]
    cmd_id: Annotated[int, "command that it belongs to; 0 none"]
    read_in: Annotated[int | None, "packet that told this entry of the log on the line; null where none did"]
    answered_in: Annotated[int | None, "packet that answered this request; null where none did"]
    fields: Annotated[Any, "its fields, units in their names"]
    text: Annotated[str, "the same in words"]


class EffectPart(FactPart):
    """Something that can be asked about."""

    ask: Annotated[str, "the option that asks about it, such as `--alarm 1`"]


class StepPart(FactPart):
    """A step of the way from cause to effect."""

    link: Annotated[str | None, "how it is tied to what it led to; null of the effect itself"]
    source: Annotated[str, "what says that it can be a cause: SPEC or DOMAIN, and where"]
    beside: Annotated[bool, "whether the effect needed it, without it being why"]
    cause: Annotated[bool, "whether it is a cause, with nothing of the recording behind it"]


class UnreadPart(TypedDict):
    """What of the recording could not be read, and so is in no answer."""

    sealed: Annotated[int, "frames that no key opened"]
    damage: Annotated[int, "places of the file that cannot be read"]


class EffectsPart(UnreadPart):
    """What can be asked about, where nothing was."""

    entry: Annotated[str, 'always "effects"']
    alarms: Annotated[list[EffectPart], "alarms, each once, as they are first seen"]
    boluses: Annotated[
        list[EffectPart], "boluses, primes and bridges, also those of which nobody knows what came"
    ]
    state_changes: Annotated[list[EffectPart], "changes of the state of therapy"]


class ExplanationPart(UnreadPart):
    """Why something came about."""

    entry: Annotated[str, 'always "explanation"']
    effect: Annotated[EffectPart, "what was asked about"]
    causes: Annotated[
        list[FactPart],
        "what it came from; none where that is not in the recording, several where it can be any of them",
    ]
    steps: Annotated[list[StepPart], "the way from the causes to the effect, which is the last"]
    missing: Annotated[list[str], "links that are not in the recording, in words"]


EXPLAIN_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {"explain": ((EffectsPart,), (ExplanationPart,))}
