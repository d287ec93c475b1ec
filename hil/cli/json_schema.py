"""The JSON Schema (draft 2020-12) of each document of `--json`, made from the classes it is made of.

Types follow from type hints, meanings from the comments of the layouts, which SPEC 6 shows too, and from those beside
the fields of `hil.cli.documents`. Fields may be added within a version, so no schema forbids others.
"""

from __future__ import annotations

import json
import re
import types
from enum import IntEnum, IntFlag, StrEnum
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from hil.cli import documents, patient_documents, procedure_documents, report_documents
from hil.cli.bench_documents import BENCH_DOCUMENTS
from hil.cli.documents import VERSION, ExecutedPart, is_wall_time, iso_name
from hil.cli.recording_documents import RECORDING_DOCUMENTS
from hil.cli.rig_documents import RIG_DOCUMENTS
from protocol.codec.field_words import bare_name_and_unit
from protocol.codec.layouts import declaration_of, declared_classes
from protocol.log.data import DATA_OF
from protocol.log.entry import LogEntry
from protocol.messages.alarms import AlarmAckReply, GetAlarmsReply
from protocol.messages.bolus import BolusCancelReply, BolusCommitReply, PatientBolusReply, PrimeReply
from protocol.messages.conversation import GetLinkStatsReply, SelfTestReply
from protocol.messages.ledger import QueryCmdReply, VoidCmdReply
from protocol.messages.program import GetProgramReply, ProgCommitReply
from protocol.messages.reading import GetDeliveryReply, GetInfoReply, GetLimitsReply, GetStatusReply
from protocol.messages.reservoir import GetReservoirReply, RefillReply
from protocol.messages.stop import ResumeReply, StopReply
from protocol.messages.time import GetTimeReply, TimeSetReply

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Entry:
    """Stands for an entry of a log in a type hint: its `fields` depend on its `type`."""


# What a document is made of: the fields of all classes of a row, later ones in place of earlier ones. Two rows: either.
DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "status": ((GetStatusReply, documents.StatusPart),),
    "info": ((GetInfoReply,),),
    "limits": ((GetLimitsReply,),),
    "delivery": ((GetDeliveryReply,),),
    "reservoir": ((GetReservoirReply,),),
    "alarms": ((GetAlarmsReply,),),
    "link": ((GetLinkStatsReply,),),
    "log": ((documents.LogPart,),),
    "query": ((QueryCmdReply, documents.QueryPart, documents.NoticesPart),),
    "void": ((VoidCmdReply, documents.VoidPart),),
    "ping": ((documents.PingPart,),),
    "ack": ((AlarmAckReply,),),
    "alarm-test": ((documents.AlarmTestPart,),),
    "self-test": ((SelfTestReply,),),
    "accept": ((documents.AcceptPart,),),
    "config": ((documents.ConfigPart,),),
    "keys": ((documents.KeysPart,),),
    "set": ((ExecutedPart[ProgCommitReply],),),
    "minimum-rate": ((ExecutedPart[ProgCommitReply],),),
    "flex": ((ExecutedPart[ProgCommitReply],),),
    "write": ((ExecutedPart[ProgCommitReply],), (documents.CheckedPart,)),
    "show": ((GetProgramReply,),),
    "bolus": ((ExecutedPart[BolusCommitReply],),),
    "prime": ((ExecutedPart[PrimeReply], procedure_documents.PrimeCommandPart),),
    "patient-bolus": ((ExecutedPart[PatientBolusReply],),),
    "checkup": ((patient_documents.CheckupPart,),),
    "report": ((report_documents.ReportPart,),),
    "cancel": ((ExecutedPart[BolusCancelReply],),),
    "stop": ((ExecutedPart[StopReply],),),
    "resume": ((ExecutedPart[ResumeReply],),),
    "refill": ((ExecutedPart[RefillReply], procedure_documents.RefillPart),),
    "time": ((GetTimeReply, documents.TimePart), (ExecutedPart[TimeSetReply],)),
    "dose": ((procedure_documents.DosePart,),),
    "path": ((procedure_documents.PathPart,),),
    "bridge": ((procedure_documents.BridgePart,),),
    "dates": ((procedure_documents.DatesPart,),),
    "error": ((documents.ErrorPart,),),
    **BENCH_DOCUMENTS,
    **RIG_DOCUMENTS,
    **RECORDING_DOCUMENTS,
}
# Fields whose hint says Any where they are written: what they hold is known here alone.
HELD: dict[tuple[type, str], Any] = {
    (documents.StatusPart, "program"): GetProgramReply,
    (documents.LogPart, "entries"): list[Entry],
}


class Field(NamedTuple):
    """One field of an object: its schema, and whether it is always there."""

    schema: Schema
    required: bool


def json_schema(name: str) -> Schema:
    """The schema of the document of a command, or of `error`."""
    builder = _Builder()
    head = {
        "schema": Field(
            {"description": "which document this is", "const": f"pumpbench/{name}"}, required=True
        ),
        "version": Field({"description": "version of this schema", "const": VERSION}, required=True),
    }
    shapes = [
        _object({**head, **{key: field for part in parts for key, field in builder.fields(part).items()}})
        for parts in DOCUMENTS[name]
    ]
    return {
        "$schema": DIALECT,
        "$id": f"urn:pumpbench:{name}:{VERSION}",
        "title": f"pumpbench {name}",
        **(shapes[0] if len(shapes) == 1 else {"anyOf": shapes}),
        "$defs": dict(sorted(builder.definitions.items())),
    }


def file_schema(part: type, name: str, version: int) -> Schema:
    """The schema of a file that says itself by `schema` which document of which version it is."""
    builder = _Builder()
    fields = builder.fields(part)
    which = {"name": {"const": name}, "version": {"const": version}}
    fields["schema"] = Field({**fields["schema"].schema, "properties": which}, required=True)
    return {
        "$schema": DIALECT,
        "$id": f"urn:{name}:{version}",
        "title": name,
        "description": _first_line(part),
        **_object(fields),
        "$defs": dict(sorted(builder.definitions.items())),
    }


def schema_page(name: str | None) -> str:
    """The schema of one document as text, or those of all by their names."""
    return json.dumps(
        {each: json_schema(each) for each in DOCUMENTS} if name is None else json_schema(name), indent=2
    )


def _object(fields: dict[str, Field]) -> Schema:
    return {
        "type": "object",
        "properties": {name: field.schema for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
    }


class _Builder:
    """Makes the schema of one document; what is used in several places of it is in `definitions`."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def fields(self, part: Any) -> dict[str, Field]:
        """The fields of a class, by name, each moment of the wall clock with the ISO 8601 time beside it."""
        cls = get_origin(part) or part
        bound = dict(zip(getattr(cls, "__parameters__", ()), get_args(part), strict=True))
        meanings = _meanings(cls)
        found: dict[str, Field] = {}
        for name, hint in get_type_hints(cls, include_extras=True).items():
            if required := get_origin(hint) is not NotRequired:
                own = hint
            else:
                (own,) = get_args(hint)
            meaning = meanings.get(name, "")
            if get_origin(own) is Annotated:
                own, meaning = get_args(own)
            held = HELD.get((cls, name), own)
            words = {"title": _title(name), "description": meaning or _said_by_type(held)}
            found[name] = Field({**words, **self.of_type(held, bound)}, required)
            if is_wall_time(name):
                found[iso_name(name)] = Field(_iso_time(name), required)
        return found

    def of_type(self, hint: Any, bound: dict[Any, Any]) -> Schema:
        """The schema of a type hint."""
        if isinstance(hint, TypeVar):
            hint = bound[hint]
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in {Union, types.UnionType}:
            return {"anyOf": [self.of_type(each, bound) for each in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of_type(arguments[1], bound)}
        if origin in {tuple, list}:
            return {"type": "array", "items": self.of_type(arguments[0], bound)}
        return {"type": ["object", "null"]} if hint is Any else self._of_class(hint)

    def _of_class(self, hint: Any) -> Schema:
        if hint is Entry:
            return self._reference("LogEntry", self._entry)
        if issubclass(hint, IntFlag):
            return {"type": "array", "items": {"enum": [flag.name for flag in hint]}, "uniqueItems": True}
        if issubclass(hint, StrEnum):
            return {"enum": [each.value for each in hint]}
        if issubclass(hint, IntEnum):
            return {"enum": [each.name for each in hint]}
        if is_typeddict(hint) or hasattr(hint, "_fields"):
            return self._reference(hint.__name__, lambda: self._record(hint))
        return {"type": _JSON_TYPES[hint]}

    def _reference(self, name: str, make: Any) -> Schema:
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = make()
        return {"$ref": f"#/$defs/{name}"}

    def _record(self, cls: type) -> Schema:
        return {"description": _first_line(cls), **_object(self.fields(cls))}

    def _entry(self) -> Schema:
        """An entry of a log: what its `fields` hold depends on its `type`."""
        classes: dict[type, list[str]] = {}
        for log_type, cls in DATA_OF.items():
            classes.setdefault(cls, []).append(log_type.name)
        by_type = [
            {
                "if": {"properties": {"type": {"enum": names}}},
                "then": {"properties": {"fields": self.of_type(cls | None, {})}},
            }
            for cls, names in classes.items()
        ]
        fields = {**self.fields(documents.EntryPart), **self.fields(LogEntry)}
        return {"description": "An entry of a log.", **_object(fields), "allOf": by_type}


_JSON_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    bytes: "string",
    type(None): "null",
}


def _meanings(cls: type) -> dict[str, str]:
    """What the layout of a message says of its fields, by name."""
    if cls not in declared_classes():
        return {}
    record = declaration_of(cls).record
    return {name: meaning for (name, _), meaning in zip(record.parts, record.comments, strict=True)}


def _said_by_type(hint: Any) -> str:
    """What the class of a field says of itself, where its layout says no more; "" of plain numbers."""
    inner = [each for each in get_args(hint) if each not in {type(None), ...}]
    cls = inner[0] if inner else hint
    ours = isinstance(cls, type) and (issubclass(cls, IntEnum | IntFlag) or hasattr(cls, "_fields"))
    return _first_line(cls) if ours else ""


def _first_line(cls: type) -> str:
    """The first line of a docstring, without its mention of the specification."""
    first, _, _ = (cls.__doc__ or "").partition("\n")
    return re.sub(r" \[SPEC [^]]*\]", "", first)


def _title(name: str) -> str:
    bare, unit = bare_name_and_unit(name)
    return f"{bare}, in {unit}" if unit else bare


def _iso_time(name: str) -> Schema:
    return {
        "title": f"{_title(name).removesuffix(', in s')}, ISO 8601",
        "description": f"{name} in the pump's zone where the answer has that, else in UTC; null where it is not known",
        "type": ["string", "null"],
        "format": "date-time",
    }
