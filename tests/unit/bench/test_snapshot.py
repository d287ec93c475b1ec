"""A pump kept as a document goes on as the pump itself would have, and what is no such document is refused in words."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import make_dataclass
from enum import Enum
from typing import Any, NamedTuple

import pytest

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost
from firmware_emu.bench.snapshot import Snapshot, read_snapshot, sha256_of
from firmware_emu.now import Now
from firmware_emu.pump import Pump
from firmware_emu.state_document import from_document, layout_of, names_in, to_document
from firmware_emu.units import MS_PER_DAY
from hil.campaign.conversation import Conversation
from protocol.identifiers import Activity
from protocol.messages.reading import GetStatus
from tests.support.for_each import for_each
from tests.support.soak import rounds_of
from tests.unit.controller.test_commands_in_each_state import STATES, in_state


def carried(document: object) -> Any:
    """The document as it is after its way through a file."""
    return json.loads(json.dumps(document))


def document_of(talk: Conversation) -> dict[str, Any]:
    return Snapshot.of(PumpHost(talk.pump)).document()


def seen_of(pump: Pump, until_ms: int) -> list[object]:
    """All that happens to a pump until then, in steps of hours."""
    seen: list[object] = []
    for now_ms in range(pump.now_ms, until_ms + 1, 3_600_000):
        step = pump.step(Now.both(now_ms))
        seen.append((step.trace, step.to_send, step.writes, step.wake_at_ms))
    return seen


@for_each("name", list(STATES))
def test_in_each_state_the_kept_pump_goes_on_as_the_pump(name: str) -> None:
    talk = in_state(name).fork()
    restored = read_snapshot(carried(document_of(talk))).pump
    until_ms = talk.now_ms + 3 * MS_PER_DAY
    assert seen_of(restored, until_ms) == seen_of(talk.pump, until_ms)
    assert to_document(restored) == to_document(talk.pump)


def test_a_session_and_a_bolus_go_on_where_client_and_pump_are_both_kept() -> None:
    talk = in_state("bolus").fork()
    talk.granted(GetStatus())
    other = talk.fork()
    other.pump = read_snapshot(carried(document_of(talk))).pump
    told = [each.granted(GetStatus()) for each in (talk, other)]
    assert told[0] == told[1]
    assert told[0].activity & Activity.BOLUS
    assert (
        talk.pump.step(talk.pump.now.later(600_000)).trace
        == other.pump.step(other.pump.now.later(600_000)).trace
    )


def test_another_process_reads_the_same_pump() -> None:
    document = json.dumps(document_of(in_state("bolus")))
    program = (
        "import json, sys; from firmware_emu.bench.snapshot import read_snapshot;"
        "print(json.dumps(read_snapshot(json.load(sys.stdin)).document()))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], input=document, capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == json.loads(document)


def test_a_snapshot_stays_as_it_is_when_the_pump_goes_on() -> None:
    talk = in_state("bolus").fork()
    snapshot = Snapshot.of(PumpHost(talk.pump))
    before = snapshot.document()
    talk.wait_until(talk.now_ms + MS_PER_DAY)
    assert snapshot.document() == before


def test_whoever_waited_for_a_stroke_does_not_wait_in_the_snapshot() -> None:
    host = PumpHost(in_state("bolus").pump.fork())
    host.pump.every_stroke = True
    assert not Snapshot.of(host).pump.every_stroke
    assert host.pump.every_stroke


GOOD = carried(document_of(Conversation.with_new_pump()))


def resealed(document: dict[str, Any]) -> dict[str, Any]:
    """With the sha256 that a forger would give it."""
    return document | {"sha256": sha256_of(document["state"])}


def changed(**parts: object) -> dict[str, Any]:
    return resealed(GOOD | {"state": GOOD["state"] | parts})


def row_of(name: str) -> int:
    return next(i for i, row in enumerate(GOOD["state"]["objects"]) if row.get("class", "").endswith(name))


def with_field(name: str, field: str, value: object) -> dict[str, Any]:
    """Another value in a field of the object of a class."""
    objects = carried(GOOD["state"]["objects"])
    objects[row_of(name)]["fields"][field] = value
    return changed(objects=objects)


def with_row(row: dict[str, Any]) -> dict[str, Any]:
    """One object more, which is read first."""
    objects = GOOD["state"]["objects"]
    return changed(objects=[*objects, row], root={"object": len(objects)})


@pytest.mark.parametrize(
    "document",
    [
        changed(layout="0" * 64),
        with_field(":Pump", "_noted", 0),
        with_row({"class": "firmware_emu.pump:FaultDesk", "fields": {}}),
        with_row({"class": "firmware_emu.fault_desk:FaultDesk", "fields": {}}),
        with_row({"enum": "firmware_emu.fault_desk:At", "value": 1}),
        with_row({"function": "firmware_emu.fault_desk:at"}),
        with_row({"method": "begin_lunch", "of": {"object": row_of(":Pump")}}),
    ],
    ids=["layout", "field", "class", "module", "enum", "function", "method"],
)
def test_a_snapshot_of_a_version_whose_code_stood_elsewhere_is_refused_as_one_of_another_version(
    document: object,
) -> None:
    """Whatever a later version moved out of a class or a file, renamed or took away."""
    with pytest.raises(BadConfigurationError) as refused:
        read_snapshot(document)
    assert "was made by another version" in str(refused.value)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], 'no document of the schema "pumpbench/snapshot"'),
        (GOOD | {"version": 2, "made_by": "9.9"}, "has version 2, made by pumpbench 9.9; this is"),
        (GOOD | {"state": GOOD["state"] | {"root": 5}}, "is damaged: it is not what its sha256 was made of"),
        (changed(root=5), "is one of int, and Snapshot was wanted"),
        (changed(root={"object": 10**9}), "is put together wrong"),
        (changed(root={"object": row_of(":Pump")}), "is one of Pump, and Snapshot was wanted"),
        (changed(layout="0" * 64), "was made by another version, whose pumps have other fields"),
        (
            changed(objects=[{"class": "os:PathLike", "fields": {}}], root={"object": 0}),
            "a class that is not ours: os:PathLike",
        ),
        (changed(objects=[{"type": "subprocess:Popen"}], root={"object": 0}), "not ours: subprocess:Popen"),
        (
            changed(objects=[{"function": "subprocess:getoutput"}], root={"object": 0}),
            "a function that is not ours: subprocess:getoutput",
        ),
        (changed(objects=[{"tuple": [{"object": 0}]}], root={"object": 0}), "holds itself"),
        (
            with_field(":Reservoir", "no_such_field", 1),
            "has a field that a Reservoir has not: no_such_field",
        ),
        (with_field(":Reservoir", "dry_at_nl_ppm", "much"), "holds a pump that cannot run"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_no_snapshot_is_refused_in_words(document: object, sentence: str) -> None:
    with pytest.raises(BadConfigurationError) as refused:
        read_snapshot(document)
    assert sentence in str(refused.value)


def test_whatever_a_forger_writes_it_is_refused_or_runs() -> None:
    """Any value put anywhere: no other error comes out, in reading or in an hour of running."""
    draw = random.Random(5)
    values: list[Any] = [
        None,
        True,
        -1,
        10**30,
        "x",
        1.5,
        {"bytes": ""},
        {"object": 0},
        {"object": 7},
        {},
        [],
        {"bytes": "zz"},
    ]
    for _ in range(rounds_of("forged snapshots", 3_000, 150)):
        objects = carried(GOOD["state"]["objects"])
        row = draw.choice(objects)
        holder: Any = next(
            part for part in (row.get("fields"), row.get("tuple"), row.get("list"), row) if part
        )
        key = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
        holder[key] = draw.choice(values)
        try:
            read_snapshot(changed(objects=objects))
        except BadConfigurationError:
            continue


def test_a_version_whose_fields_or_enums_mean_something_else_is_known_by_its_layout() -> None:
    """Also where a tuple only has its fields in another order, or an enum its numbers."""

    def as_before(made: Any) -> Any:
        made.__module__, made.__qualname__ = "firmware_emu.pump", "Same"
        return made

    makers: tuple[tuple[Any, Any], ...] = (
        (type("Same", (), {"__slots__": ("left_nl",)}), type("Same", (), {"__slots__": ("left_ml",)})),
        (NamedTuple("Same", [("a", int), ("b", int)]), NamedTuple("Same", [("b", int), ("a", int)])),
        (Enum("Same", {"RUN": 1, "STOP": 2}), Enum("Same", {"RUN": 2, "STOP": 1})),
        (make_dataclass("Same", ["given_nl"]), make_dataclass("Same", ["left_nl"])),
    )
    for one, other in makers:
        assert layout_of({as_before(one)}) != layout_of({as_before(other)}), one


def test_every_object_in_a_snapshot_has_its_fields_in_the_layout() -> None:
    """A class with attributes beside its slots could change, and its snapshots would be read as if it had not."""
    for name in STATES:
        for row in document_of(in_state(name))["state"]["objects"]:
            if "fields" in row:
                module, _, kind = row["class"].partition(":")
                known = names_in(getattr(sys.modules[module], kind))
                assert {*row["fields"]} <= {*known}, row["class"]


def test_a_profile_of_any_kind_is_kept() -> None:
    for name in ("implanted", "factory", "forty_millilitre"):
        host = PumpHost(Pump.new(load_profile(name), b"12345678"))
        state = to_document(host.pump)
        assert to_document(from_document(carried(state), Pump)) == state, name
