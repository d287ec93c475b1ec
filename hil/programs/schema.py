"""The JSON Schema (draft 2020-12) of a program file, for editors, made from the declaration that the reader follows."""

from __future__ import annotations

import json
from typing import Any

from hil.programs import declaration
from hil.programs.declaration import BLOCKS, GROUP, IN_EACH_MODE, MODES, PROGRAM, Key, Room
from hil.programs.measures import TIME_OF_DAY_PATTERN, WholeNumber

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def program_schema() -> Schema:
    """The schema of a program file."""
    return {
        "$schema": DIALECT,
        "$id": "urn:pumpbench:program-file:1",
        "title": "pumpbench program file",
        "description": f"{PROGRAM.meaning} Each number has its unit beside it.",
        "type": "object",
        "properties": {
            "mode": {
                "description": "; ".join(f"{mode.name}: {mode.meaning}" for mode in MODES.values()),
                "enum": [mode.name for mode in MODES.values()],
            },
            **_properties(PROGRAM),
            "group": {
                "description": GROUP.meaning,
                "type": "array",
                "minItems": declaration.GROUPS[0],
                "maxItems": declaration.GROUPS[-1],
                "items": _group(),
            },
            **{name: _block(room) for name, room in BLOCKS.items()},
        },
        "required": list(IN_EACH_MODE),
        "additionalProperties": False,
        "allOf": [_mode(mode) for mode in MODES.values()],
    }


def program_schema_page() -> str:
    """The schema as text, as it is printed and shipped."""
    return json.dumps(program_schema(), indent=2, ensure_ascii=False)


def _mode(mode: declaration.Mode) -> Schema:
    """Which keys a mode asks for and which it does not have."""
    others = {name for each in MODES.values() for name in (*each.required, *each.optional)}
    foreign = sorted(others - {*mode.required, *mode.optional})
    then: Schema = {"properties": dict.fromkeys(foreign, False)}
    if mode.required:
        then["required"] = list(mode.required)
    return {"if": {"properties": {"mode": {"const": mode.name}}}, "then": then}


def _block(room: Room) -> Schema:
    either = [
        {
            "oneOf": [
                {"required": list(names), "properties": dict.fromkeys(_other_names(sets, names), False)}
                for names in sets
            ]
        }
        for sets in room.either
    ]
    return {
        "description": room.meaning,
        "type": "object",
        "properties": _properties(room),
        "required": list(room.required),
        "additionalProperties": False,
        "allOf": either,
    }


def _other_names(sets: tuple[tuple[str, ...], ...], chosen: tuple[str, ...]) -> list[str]:
    return [name for names in sets for name in names if name not in chosen]


def _group() -> Schema:
    names = [*declaration.DAY_SETS, *declaration.DAY_NAMES]
    step = {
        "description": declaration.STEP_MEANING,
        "type": "string",
        "anyOf": [{"pattern": measure.pattern} for measure in declaration.STEP],
        "examples": [measure.example for measure in declaration.STEP],
    }
    return {
        "type": "object",
        "properties": {
            "days": {
                "description": "the days that have this course",
                "anyOf": [
                    {"enum": names},
                    {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": names}},
                ],
            },
            **_properties(GROUP),
        },
        "patternProperties": {TIME_OF_DAY_PATTERN: step},
        "required": ["days", "00:00"],
        "additionalProperties": False,
    }


def _properties(room: Room) -> dict[str, Schema]:
    return {key.name: _of_key(key) for key in room.keys}


def _of_key(key: Key) -> Schema:
    kind = key.kind
    head: Schema = {"title": f"{key.name}: {kind.words}", "description": key.meaning}
    if isinstance(kind, WholeNumber):
        return {**head, "type": "integer", "minimum": kind.low, "maximum": kind.high}
    return {**head, "type": "string", "pattern": kind.pattern, "examples": [kind.example]}
