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


class TruthPart(NowPart):
    """What is so."""

    truth: Annotated[Any, "what is physically so, as Truth in /openapi.json of the rig control"]


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


# Of the commands of `pumpbench rig`; those of `power` and of `lease` share one each.
RIG_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "rig-state": ((StatePart,),),
    "rig-truth": ((TruthPart,),),
    "rig-clock": ((ClockPart,),),
    "rig-advance": ((NowPart,),),
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
}
