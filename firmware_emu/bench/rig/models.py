"""What rig control is asked and what it answers, as models: exact types, every number in its range. No behaviour.

These are the bodies that `/openapi.json` describes.
"""

from __future__ import annotations

from enum import Enum, EnumType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    create_model,
    field_validator,
)

from firmware_emu.awaited import OPERATORS, TAKES, UNSAID
from firmware_emu.bench.clock import SPEED_MAX, TRAVEL_MAX_MS, TimeMode
from firmware_emu.bench.image_records import MEMORY_MAX_BYTES
from firmware_emu.controller import controller
from firmware_emu.faults.fault import COUNT_MAX, Where
from firmware_emu.faults.orders import At  # noqa: TC001 - a Literal is made of it
from firmware_emu.plant import truth
from firmware_emu.profile import Implant, PumpModel
from firmware_emu.units import NL_PER_ML

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic.config import JsonDict

SYRINGE_MAX_NL = 100 * NL_PER_ML
CONCENTRATION_MAX_NG_PER_ML = 1_000_000_000
LEASE_MAX_S = 86_400
NULL: JsonDict = {"type": "null"}

TEXT_MAX = 80
VALUE_MAX = 1 << 100  # more than any truth holds, and exact as the double that the description makes of it
VALUE_SCHEMA: JsonDict = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "integer", "exclusiveMinimum": -VALUE_MAX, "exclusiveMaximum": VALUE_MAX},
        {"type": "string", "maxLength": TEXT_MAX},
        NULL,
    ]
}

Ms = Annotated[int, Field(ge=0, le=TRAVEL_MAX_MS)]


def _field_value(value: object) -> object:
    if isinstance(value, str | bool | None) and len(value if isinstance(value, str) else "") <= TEXT_MAX:
        return value
    if isinstance(value, int) and abs(value) < VALUE_MAX:
        return value
    raise ValueError("a whole number below 2^100, a name, true, false or null is expected")


Value = Annotated[Any, PlainValidator(_field_value), WithJsonSchema(VALUE_SCHEMA)]
"""What a field of truth or belief may be compared with."""


def _names(kind: EnumType) -> Iterable[str]:
    return kind.__members__


def _values(kind: EnumType) -> Iterable[str]:
    """As profiles spell it."""
    members: Iterable[Enum] = kind.__members__.values()
    return [str(member.value) for member in members]


def _model_of(kind: type[Any], spelled: Callable[[EnumType], Iterable[str]] = _names) -> type[BaseModel]:
    """The model of a named tuple or a dataclass: its fields with their types, each enum as one of its values."""
    fields: dict[str, Any] = {
        name: (Literal[*spelled(hint)] if isinstance(hint, EnumType) else hint, ...)
        for name, hint in get_type_hints(kind).items()
    }
    return create_model(kind.__name__, __doc__=kind.__doc__, **fields)


if TYPE_CHECKING:
    Truth: TypeAlias = BaseModel
    Belief: TypeAlias = BaseModel
    PumpModelValues: TypeAlias = BaseModel
    ImplantValues: TypeAlias = BaseModel
else:
    Truth, Belief = _model_of(truth.Truth), _model_of(controller.Belief)
    PumpModelValues, ImplantValues = _model_of(PumpModel, _values), _model_of(Implant, _values)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Strict(BaseModel):
    """A body: exact types, nothing unknown."""

    model_config = ConfigDict(strict=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def whole(cls, value: object) -> object:
        """A number without a fraction is an integer, as JSON Schema has it: 5.0 is 5; so are those of an object."""
        if isinstance(value, dict):  # no deeper: nothing that is asked has objects in objects
            return {name: _whole(each) for name, each in value.items()}
        return _whole(value)


class Error(BaseModel):
    """Why not, in a sentence."""

    error: str


class Done(BaseModel):
    """The time at which it was done."""

    now_ms: int


class RigState(BaseModel):
    """What is so and what the pump believes. Volumes in nL, or nL x 10^-6 where the name says ppm."""

    now_ms: int
    powered: bool
    truth: Truth
    belief: Belief | None
    received_bytes: int
    dropped_bytes: int
    trace_hash: str | None
    seed: int


class ClockState(BaseModel):
    """How pump time runs. `speed` is pump ms per host ms, 0 under manual time."""

    mode: TimeMode
    speed: int
    now_ms: int


class ClockWanted(Strict):
    """A mode, or a speed, which is real time or scaled."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["mode"], "properties": {"mode": {"type": "string"}, "speed": NULL}},
                {"required": ["speed"], "properties": {"speed": {"type": "integer"}, "mode": NULL}},
            ]
        }
    )
    mode: Literal["real", "manual"] | None = None
    speed: Annotated[int, Field(ge=1, le=SPEED_MAX)] | None = None


class Advance(Strict):
    """Let so much time pass, once the pump has received so many bytes in all since it was started."""

    ms: Ms
    after_received: Annotated[int, Field(ge=0, le=COUNT_MAX)] | None = None


def _said_of(what: str) -> JsonDict:
    """That all is said that says something of it, and nothing else."""
    unsaid: JsonDict = {
        name: {"enum": [None] if nothing is None else [None, nothing]}
        for name, nothing in UNSAID.items()
        if name not in TAKES[what]
    }
    if "field" in unsaid:
        return {"properties": {"what": {"const": what}, **unsaid}}
    compared: JsonDict = {"field": {"type": "string"}, "operator": {"type": "string"}}
    return {"required": list(compared), "properties": {"what": {"const": what}, **compared, **unsaid}}


class RunUntil(Strict):
    """Let time pass until something happens, at most so long.

    Event: the next of the program's own, or the `count`-th of `name`, a kind of event of the trace or the type of an
    entry of the log. Alarm: one that is raised, or `cleared`, of that AlarmId or any. Truth, belief: one field compared
    with a value, looked at now, at each event and each stroke; a field that is an enum compares with a name.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [_said_of(what) for what in TAKES]})
    what: Literal[*TAKES]  # type: ignore[valid-type]
    limit_ms: Ms
    name: Annotated[str, Field(max_length=TEXT_MAX)] | None = None
    cleared: bool | None = None
    count: Annotated[int, Field(ge=1, le=COUNT_MAX)] | None = None
    field: Annotated[str, Field(max_length=TEXT_MAX)] | None = None
    operator: Literal[*OPERATORS] | None = None  # type: ignore[valid-type]
    value: Value = None


class Event(BaseModel):
    """One thing that the pump did: what kind of thing, when in pump time and line time, its fields; words for people.

    The first four are what the trace hash is made of, but of what was written to the memory only place and length are
    told: there are keys in it. A name ends in its unit, an enum is its name, bytes are hex.
    """

    kind: str
    now_ms: int
    line_ms: int
    fields: dict[str, Any]
    text: str


class Ran(Done):
    """Where a run ended, whether what it ran for happened, and what of that did, the newest last.

    `value`: what the field that was compared is then; null where none was, or belief without power.
    """

    reached: bool
    events: list[Event]
    value: Value = None


class TraceMark(Done):
    """How many entries the trace has had by now, since this emulator was started."""

    mark: int


class Trace(Done):
    """What has happened since a mark. `lost` entries before these are not kept any more; `next` is where to go on.

    `mark` is how many entries there are by now: where `next` is less, there are more to ask for.
    """

    lost: int
    next: int
    mark: int
    entries: list[Event]


class EventsLost(BaseModel):
    """Data of an event `lost` of the stream: how many entries this reader was too slow for."""

    lost: int


class ProfileInForce(Done):
    """What this pump was made from, without keys, and what the clinic has changed by CONFIG_WRITE; null without power.

    `implant` is what was done to it before time 0; null for a pump as it left the factory.
    """

    name: str
    model: PumpModelValues
    implant: ImplantValues | None
    wall_at_start_s: int | None
    tz_minutes: int
    vendor_messages: tuple[str, ...]
    texts: dict[str, str]
    configured: dict[str, int | str | bool] | None


class PowerCut(Strict):
    """Now; or in the n-th write to the memory from now, of which so many bytes land."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"torn_after_bytes": NULL}},
                {"required": ["after_writes"], "properties": {"after_writes": {"type": "integer"}}},
            ]
        }
    )
    after_writes: Annotated[int, Field(ge=1, le=COUNT_MAX)] | None = None
    torn_after_bytes: Annotated[int, Field(ge=0, le=MEMORY_MAX_BYTES)] | None = None


class PowerRestore(Strict):
    """How long the pump was without power, on top of the time that passed meanwhile."""

    off_ms: Ms = 0


class Restored(Done):
    """`was_off` is False where power was on: a cut that was armed did not fire."""

    was_off: bool


class Aspirate(Strict):
    """So much, or all that comes."""

    nl: Annotated[int, Field(ge=0, le=SYRINGE_MAX_NL)] | None = None


class Fill(Strict):
    """So much, of a concentration or of what is in the reservoir."""

    nl: Annotated[int, Field(ge=0, le=SYRINGE_MAX_NL)]
    concentration_ng_per_ml: Annotated[int, Field(ge=0, le=CONCENTRATION_MAX_NG_PER_ML)] | None = None


class Moved(Done):
    """What went through the needle."""

    nl: int


class FaultStart(Strict):
    """When a fault starts.

    After so many ms; behind the `count`-th commanded stroke, write to the memory, event or alarm, from now on; as the
    `count`-th frame has come, before the pump acts on it; or at the first event, each stroke being one, at which a
    field of truth or belief compares so. Events, alarms and fields are named as for a run until something happens.
    """

    at: Literal[*(each.value for each in At)]  # type: ignore[valid-type]
    after_ms: Annotated[int, Field(ge=0, le=COUNT_MAX)] = 0
    count: Annotated[int, Field(ge=1, le=COUNT_MAX)] = 1
    name: Annotated[str, Field(max_length=TEXT_MAX)] | None = None
    cleared: bool = False
    field: Annotated[str, Field(max_length=TEXT_MAX)] | None = None
    operator: Literal[*OPERATORS] | None = None  # type: ignore[valid-type]
    value: Value = None


class FaultWanted(Strict):
    """A fault that shall be there, with its parameters, or be gone. `GET /v1/faults` has what each takes.

    It starts at once or as `start` says, lasts `for_ms` (null: until it is cleared), and starts `times` times in all:
    again `every_ms` after each start or, without that, when what it waits for comes again.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"on": {"const": True}}},
                {
                    "properties": {
                        "parameters": {"maxProperties": 0},
                        "start": NULL,
                        "for_ms": NULL,
                        "every_ms": NULL,
                        "times": {"const": 1},
                    }
                },
            ]
        }
    )
    on: bool
    parameters: dict[str, int | None] = {}
    start: FaultStart | None = None
    for_ms: Annotated[int, Field(ge=1, le=COUNT_MAX)] | None = None
    every_ms: Annotated[int, Field(ge=1, le=COUNT_MAX)] | None = None
    times: Annotated[int, Field(ge=1, le=COUNT_MAX)] = 1


class FaultOrder(BaseModel):
    """What is to come of a fault: what it waits for, how often it has begun, what it still counts. Times: pump time."""

    start: FaultStart
    for_ms: int | None
    every_ms: int | None
    times: int
    begun: int
    left: int
    starts_at_ms: int | None
    ends_at_ms: int | None


class FaultParameter(BaseModel):
    """One number that a fault takes. Without a default it is required, or left out it means what `meaning` says."""

    name: str
    lowest: int
    highest: int
    required: bool
    default: int | None
    meaning: str


class Fault(BaseModel):
    """One fault: what it is, what the firmware can see of it, and how it stands."""

    name: str
    where: Where
    """What it acts on."""
    summary: str
    seen_as: str
    parameters: list[FaultParameter]
    on: bool
    effects: int
    order: FaultOrder | None


class Faults(BaseModel):
    """All faults of the catalogue."""

    faults: list[Fault]


class Tone(BaseModel):
    """One tone of the pump's sounder. `critical`: two pitches, else one."""

    at_ms: int
    critical: bool
    duration_ms: int


class Tones(Done):
    """The last tones, the newest last; `tones_played` of the truth counts them all."""

    tones: list[Tone]


class KeptSnapshot(BaseModel):
    """A snapshot that the bench keeps: its name, and which pump it is of, at which time."""

    name: str
    profile: str
    serial: str
    pump_ms: int


class SnapshotKept(KeptSnapshot, Done):
    """The one that was kept just now."""


class SnapshotsKept(Done):
    """All that the bench keeps, the newest last."""

    snapshots: list[KeptSnapshot]


class SnapshotDocument(BaseModel):
    """A pump as it is at one moment, with its keys and those of its session: for its owner's eyes only."""

    model_config = ConfigDict(serialize_by_alias=True)

    schema_: Annotated[str, Field(alias="schema")]
    version: int
    made_by: str
    name: str
    profile: str
    serial: str
    pump_ms: int
    sha256: str
    state: dict[str, Any]


class SnapshotWanted(Strict):
    """What is to be kept: a document that was read from a bench before, or without one the pump as it is now."""

    snapshot: dict[str, Any] | None = None


class RestoreWanted(Strict):
    """What the memory is called from then on, 1 to 16 hex digits, for a run that must repeat; else a new name."""

    memory_id: Annotated[str, Field(pattern="^[0-9a-f]{1,16}$")] | None = None


class SnapshotRestored(Done):
    """The time that it goes on from, and what its memory is called now, 16 hex digits."""

    memory_id: str


class LeaseWanted(Strict):
    """The bench for oneself, for so long by the host's clock; `who` is what others are told."""

    who: Annotated[str, Field(max_length=80, pattern=r"^[ -~]*[!-~][ -~]*$"), AfterValidator(str.strip)]
    seconds: Annotated[int, Field(ge=1, le=LEASE_MAX_S)]


class LeaseState(BaseModel):
    """Who has the bench to itself and for how long by the host's clock; None where nobody has."""

    who: str | None
    left_ms: int | None


class LeaseTaken(LeaseState):
    """`lease` goes with each request of its holder, as the header Pumpbench-Lease."""

    lease: str


class Nothing(Strict):
    """An empty object."""
