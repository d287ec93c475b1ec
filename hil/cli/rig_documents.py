"""The JSON documents of `pumpbench rig --json`; `hil.cli.json_schema` describes them."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from hil.cli.documents import ErrorFields  # noqa: TC001 - the schema is made from it


class NowPart(TypedDict):
    """When it was done."""

    now_ms: Annotated[int, "pump time, from when the pump was made"]


class StatePart(NowPart):
    """What is so and what the pump believes."""

    powered: Annotated[bool, "whether it has power"]
    truth: Annotated[Any, "what is physically so, as Truth in /openapi.json of the rig control"]
    belief: Annotated[Any, "what the program believes, as Belief there; null without power"]
    trace_hash: Annotated[str | None, "SHA-256 of all that has happened; null where none was kept"]
    seed: Annotated[
        int | None, "what `pumpbench emulate --seed` takes to repeat it; null where chance is its own"
    ]


class TruthPart(NowPart):
    """What is so."""

    truth: Annotated[Any, "what is physically so, as Truth in /openapi.json of the rig control"]


class SamplePart(TruthPart):
    """One line of `advance --every`: how it stood then."""

    powered: Annotated[bool, "whether it has power"]
    belief: Annotated[Any, "what the program believes, as Belief there; null without power"]
    faults_on: Annotated[list[str], "names of the faults that are on"]


class ClockPart(NowPart):
    """How time runs."""

    mode: Annotated[str, "real, scaled or manual"]
    speed: Annotated[int, "pump ms in a ms of the host; 0 where it is turned by hand"]


class EventFields(TypedDict):
    """One thing that happened."""

    kind: Annotated[str, "what kind of thing"]
    now_ms: Annotated[int, "pump time"]
    line_ms: Annotated[int, "line time"]
    fields: Annotated[
        Any, "its fields by the kind; a name ends in its unit, an enum is its name, bytes are hex"
    ]
    text: Annotated[str, "the event in words for people"]


class RanPart(NowPart):
    """Where a run ended."""

    reached: Annotated[bool, "whether what was waited for has happened"]
    events: Annotated[list[EventFields], "what of it did, the newest last"]
    value: Annotated[bool | int | str | None, "what the field that was compared is then; null where none was"]
    error: NotRequired[Annotated[ErrorFields, "present where it has not happened"]]


class MarkPart(TypedDict):
    """A moment's place in what happened."""

    mark: Annotated[int, "how many entries the trace has had"]


class TracePart(MarkPart):
    """What happened since a mark."""

    lost: Annotated[int, "how many entries before these are not kept any more"]
    events: Annotated[list[EventFields], "those that were asked for, in order"]


class WatchPart(TypedDict):
    """One line of `watch`: an event, or how many were lost in its place."""

    event: Annotated[EventFields | None, "what happened; null where events were lost"]
    lost: Annotated[int, "how many events came faster than they were read; 0 with an event"]


class MovedPart(TypedDict):
    """What went through the needle."""

    volume_nl: Annotated[int, "the volume of it"]


class PowerPart(TypedDict):
    """What became of the power."""

    powered: Annotated[bool, "whether the pump has power now"]
    armed: Annotated[bool, "whether a cut waits for its write"]
    was_off: NotRequired[
        Annotated[bool, "present after restore: false where a cut that was armed never fired"]
    ]


class ToneFields(TypedDict):
    """One tone."""

    at_ms: Annotated[int, "pump time at which it began"]
    critical: Annotated[bool, "two pitches, else one"]
    duration_ms: Annotated[int, "how long it was"]


class TonesPart(TypedDict):
    """The last tones that were heard."""

    tones: Annotated[list[ToneFields], "the newest last"]


class LeasePart(TypedDict):
    """Who has the bench to itself."""

    who: Annotated[str | None, "its holder; null where everybody may use it"]
    left_ms: Annotated[int | None, "for how long, by the host's clock; null where nobody has it"]
    lease: NotRequired[Annotated[str, "present after take: the id, for --lease or $PUMPBENCH_LEASE"]]


class FaultParameterFields(TypedDict):
    """One number that a fault takes; its unit is the last part of its name."""

    name: Annotated[str, "its name"]
    lowest: Annotated[int, "the lowest that it may be"]
    highest: Annotated[int, "the highest"]
    required: Annotated[bool, "whether it must be given"]
    default: Annotated[int | None, "what holds where it is left out; null: no number, as the meaning says"]
    meaning: Annotated[str, "what it means where it is left out, or what its numbers are; may be empty"]


class FaultStartFields(TypedDict):
    """When a fault starts: what it waits for, and what is said of that."""

    at: Annotated[str, "time, stroke, write, frame, event, alarm, truth or belief"]
    after_ms: Annotated[int, "of a time: so long after the order"]
    count: Annotated[int, "of strokes, writes, frames, events and alarms: the n-th from the order on"]
    name: Annotated[str | None, "of an event or alarm: which one"]
    cleared: Annotated[bool, "of an alarm: its end rather than its beginning"]
    field: Annotated[str | None, "of truth and belief: what is compared"]
    operator: Annotated[str | None, "how"]
    value: Annotated[bool | int | str | None, "with what; an enum is its name"]


class FaultOrderFields(TypedDict):
    """What is to come of a fault. Times are pump time."""

    start: Annotated[FaultStartFields, "what it waits for"]
    for_ms: Annotated[int | None, "how long it lasts each time; null: until it is cleared, or ends by itself"]
    every_ms: Annotated[int | None, "how long after each start it starts again; null: when that comes again"]
    times: Annotated[int, "how often it is to start in all"]
    begun: Annotated[int, "how often it has started"]
    left: Annotated[int, "what is still counted before it starts; 0 where nothing is"]
    starts_at_ms: Annotated[int | None, "when it starts by itself; null where it waits for something else"]
    ends_at_ms: Annotated[int | None, "when it ends by itself; null where it does not, or is not on"]


class FaultFields(TypedDict):
    """One fault that the bench can cause."""

    name: Annotated[str, "its name"]
    where: Annotated[str, "what it acts on: plant, power, memory, clock or processor"]
    summary: Annotated[str, "what it is"]
    seen_as: Annotated[str, "what the firmware can see of it"]
    parameters: Annotated[list[FaultParameterFields], "the numbers that it takes"]
    on: Annotated[bool, "whether it is so now"]
    effects: Annotated[int, "how often it took effect, or on how much, as the summary says; never set back"]
    order: Annotated[FaultOrderFields | None, "what is to come of it; null for nothing"]


class FaultPart(TypedDict):
    """The fault that was caused, ordered or cleared."""

    fault: Annotated[FaultFields, "as it stands after that"]


class FaultsPart(TypedDict):
    """What can go wrong."""

    faults: Annotated[list[FaultFields], "all faults, or the one that was named"]


class ProfilePart(TypedDict):
    """What a pump was made from, without its keys."""

    name: Annotated[str, "name of the profile"]
    model: Annotated[Any, "the device, as PumpModel in /openapi.json of the rig control"]
    implant: Annotated[Any, "what was done to it before time 0; null where nothing was"]
    wall_at_start_s: Annotated[
        int | None, "its clock at time 0, from 2000-01-01 UTC; null where it was not set"
    ]
    tz_minutes: Annotated[int, "its zone, east of UTC"]
    vendor_messages: Annotated[list[str], "what it understands besides the wire's own messages"]
    texts: Annotated[Any, "what it keeps for people to read"]
    configured: Annotated[
        Any, "what the clinic has changed since, by the names of ConfigId; null without power"
    ]


class SnapshotFields(TypedDict):
    """A snapshot that the bench keeps."""

    name: Annotated[str, "its name"]
    profile: Annotated[str, "name of the profile of its pump"]
    serial: Annotated[str, "serial number of its pump"]
    pump_ms: Annotated[int, "pump time at which it was taken"]


class SnapshotPart(TypedDict):
    """What the bench keeps."""

    kept: Annotated[SnapshotFields | None, "the one that was kept just now; null where none was"]
    file: Annotated[str | None, "the file that it was written to, which holds keys; null for none"]
    snapshots: Annotated[list[SnapshotFields], "all that the bench keeps by now, the newest last"]


class RestoredPart(NowPart):
    """A pump that goes on from a snapshot."""

    memory_id: Annotated[str, "what its memory is called from then on, 16 hex digits"]


class DifferenceFields(TypedDict):
    """One field that two snapshots hold otherwise."""

    field: Annotated[str, "the way to it from the snapshot"]
    one: Annotated[int | bool | str | None, "what the first holds; null also where it has no such field"]
    other: Annotated[int | bool | str | None, "what the second holds, alike"]


class DiffPart(TypedDict):
    """Where two snapshots differ."""

    count: Annotated[int, "in how many fields"]
    differences: Annotated[list[DifferenceFields], "the first of them, as many as --count says"]


# Of the commands of `pumpbench rig`; those of `power` and of `lease` share one each.
RIG_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "rig-state": ((StatePart,),),
    "rig-truth": ((TruthPart,),),
    "rig-clock": ((ClockPart,),),
    "rig-advance": ((NowPart,), (SamplePart,)),
    "rig-run-until": ((RanPart,),),
    "rig-mark": ((MarkPart,),),
    "rig-trace": ((TracePart,),),
    "rig-watch": ((WatchPart,),),
    "rig-aspirate": ((MovedPart,),),
    "rig-fill": ((MovedPart,),),
    "rig-power": ((PowerPart,),),
    "rig-tones": ((TonesPart,),),
    "rig-lease": ((LeasePart,),),
    "rig-profile": ((ProfilePart,),),
    "rig-faults": ((FaultsPart,),),
    "rig-inject": ((FaultPart,),),
    "rig-clear": ((FaultPart,),),
    "rig-snapshot": ((SnapshotPart,),),
    "rig-restore": ((RestoredPart,),),
    "rig-fork": ((RestoredPart,),),
    "rig-diff": ((DiffPart,),),
}
