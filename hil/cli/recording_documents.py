"""The JSON documents of commands that read recordings; `hil.cli.json_schema` describes them."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from hil.cli.explain_documents import EXPLAIN_DOCUMENTS


class PlacePart(TypedDict):
    """Where in the recording it is."""

    number: Annotated[int, "number of the packet in the file, from 1, as Wireshark counts"]
    time_ns: Annotated[
        int | None, "when its last byte passed, ns since 1970 UTC; null where the file has no times"
    ]
    since_ns: Annotated[int | None, "the same since the first packet of the file"]


class HeaderPart(TypedDict):
    """The header of a frame that is whole [SPEC 3]."""

    frame_kind: Annotated[str, "HANDSHAKE, REQUEST, RESPONSE, EVENT or ERROR"]
    opcode: Annotated[str, "name of the opcode; its number for a vendor's"]
    sid: Annotated[int, "session; 0 before there is one"]
    ctr: Annotated[int, "counter of the frame in its direction"]
    ref: Annotated[int, "counter of the request that it answers; 0 where it answers none"]


class MessagePart(PlacePart):
    """What passed: a frame, or bytes that are none."""

    entry: Annotated[str, 'always "message"']
    way: Annotated[str | None, "to-pump or from-pump; null where the file does not say"]
    pump_ms: Annotated[int | None, "the pump's own time; null where it was not known"]
    state: Annotated[str, "clear, opened, sealed, bad or delimiters"]
    header: Annotated[HeaderPart | None, "the header of the frame; null where it is none"]
    answers: Annotated[
        int | None, "number of the packet with the request that it answers; null where there is none"
    ]
    message: Annotated[str | None, "name of the message; null where it cannot be read"]
    fields: Annotated[Any, "its fields, units in their names; null where it cannot be read"]
    trouble: Annotated[str, "why it cannot be read; empty where it can"]
    lost_bytes: Annotated[int, "how many of its bytes the file does not have"]
    wire: NotRequired[Annotated[str, "every byte as it was on the line, in hex; with --frames"]]
    payload: NotRequired[Annotated[str | None, "the payload in clear, in hex; with --frames"]]


class MarkPart(PlacePart):
    """What the bench did or saw."""

    entry: Annotated[str, 'always "mark"']
    kind: Annotated[str, "what kind of mark, such as `test start`"]
    text: Annotated[str, "the rest of it"]


class BeginningPart(TypedDict):
    """A recorder began."""

    entry: Annotated[str, 'always "beginning"']
    application: Annotated[str, "what recorded it"]
    told: Annotated[Any, "what the recorder says of the recording, by name; empty where another tool made it"]


class DamagePart(TypedDict):
    """A place of the file that cannot be read."""

    entry: Annotated[str, 'always "damage"']
    at: Annotated[int, "byte of the file; -1 where a whole block has a strange content"]
    what: Annotated[str, "what is wrong there"]
    resumed_at: Annotated[int | None, "byte from which reading goes on; null where nothing more was read"]


class SummaryPart(TypedDict):
    """The last line: how much there was, shown or not."""

    entry: Annotated[str, 'always "summary"']
    packets: Annotated[int, "messages and marks in the file"]
    shown: Annotated[int, "those of them that were asked for"]
    sealed: Annotated[int, "frames that no key opened"]
    bad: Annotated[int, "damaged frames, and bytes that are no frame"]
    damage: Annotated[int, "places of the file that cannot be read"]
    remarks: Annotated[list[str], "what is strange about what could be read, in sentences"]


class ReadyPart(TypedDict):
    """A tap is in the line: the programmer may open its port."""

    entry: Annotated[str, 'always "ready"']
    target: Annotated[str, "address that the programmer opens, as of `--target`"]
    pump: Annotated[str, "address of the pump at the other end"]
    recording: Annotated[str, "path of the file"]
    secrets: Annotated[bool, "whether keys of sessions are in it, where they are known"]


class RecordedPart(TypedDict):
    """The tap has ended: what went through it."""

    entry: Annotated[str, 'always "summary"']
    to_pump_bytes: Annotated[int, "bytes from the programmer to the pump"]
    from_pump_bytes: Annotated[int, "bytes from the pump to the programmer"]
    to_pump_dropped_bytes: Annotated[int, "bytes that the pump's line did not take"]
    from_pump_dropped_bytes: Annotated[int, "bytes that no programmer read"]
    complete: Annotated[bool, "whether all that passed is in the recording"]


RECORDING_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "record": ((ReadyPart,), (RecordedPart,)),
    "decode": ((MessagePart,), (MarkPart,), (BeginningPart,), (DamagePart,), (SummaryPart,)),
    **EXPLAIN_DOCUMENTS,
}
