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


class RedactedPart(TypedDict):
    """A recording was written anew."""

    recording: Annotated[str, "path of the file that is safe to share"]
    packets: Annotated[int, "packets in it, marks aside"]
    blanked: Annotated[int, "those of which something could not be read, and is blanked"]
    dropped: Annotated[int, "sealed frames that were left out"]
    pseudonyms: Annotated[Any, "how many there are of each kind, by its word"]


class ImportedPart(TypedDict):
    """A capture of another tool was made a recording."""

    recording: Annotated[str, "path of the file"]
    format: Annotated[str, "how the capture was read"]
    to_pump_bytes: Annotated[int, "bytes to the pump"]
    from_pump_bytes: Annotated[int, "bytes from the pump"]
    packets: Annotated[int, "packets in the file, marks among them"]
    notes: Annotated[int, "marks with what is no byte of the line"]


class ReplayReadyPart(TypedDict):
    """A recorded session waits for a programmer."""

    entry: Annotated[str, 'always "ready"']
    kind: Annotated[str, 'always "replay": it is no pump, and nothing that it says is done']
    target: Annotated[str, "address that the programmer opens, as of `--target`"]
    recording: Annotated[str, "path of the file"]
    requests: Annotated[int, "how many requests it has"]
    memory_id: Annotated[str, "the memory_id of GET_INFO in this run, in hex"]


class ReplayEndPart(TypedDict):
    """The device has ended: how requests were answered."""

    entry: Annotated[str, 'always "summary"']
    kind: Annotated[str, 'always "replay"']
    asked: Annotated[int, "requests that came"]
    recorded: Annotated[int, "of them, how many were answered as in the recording"]
    by_rule: Annotated[int, "by the rules of ledger and link, which hold for every pump"]
    nearest: Annotated[int, "as a recorded one that was nearest"]
    refused: Annotated[int, "how many were refused, since the recording has none such"]
    misses: Annotated[
        list[str], "what was said of each that the recording does not have; of the first thousand"
    ]


class ReplayDifferencePart(TypedDict):
    """Where a device answered a recorded request otherwise than the recorded one."""

    entry: Annotated[str, 'always "difference"']
    number: Annotated[int, "packet of the request in the recording"]
    opcode: Annotated[str, "name of the request's opcode; its number for a vendor's"]
    field: Annotated[
        str, "field of the answer, parts by their place; `answer` where there is one and no other"
    ]
    recorded: Annotated[
        bool | int | str | None, "what it was in the recording; an enum by name, bytes in hex"
    ]
    heard: Annotated[bool | int | str | None, "what it is now, ids and tokens as the recording has them"]


class PlayedPart(TypedDict):
    """The recording has been played, as far as it went."""

    entry: Annotated[str, 'always "summary"']
    kind: Annotated[str, 'always "programmer"']
    requests: Annotated[int, "requests of the recording"]
    played: Annotated[int, "requests that were sent"]
    same: Annotated[int, "requests that were answered as in the recording"]
    differences: Annotated[int, "fields that were not the same"]


class DifferencePart(TypedDict):
    """One thing that two recordings do not have the same."""

    how: Annotated[str, "field, missing, extra or sealed: missing in the second recording, extra in it"]
    place: Annotated[str, "message and field, rows by their number"]
    first_number: Annotated[int | None, "number of the packet in the first recording; null where it has none"]
    second_number: Annotated[int | None, "the same of the second"]
    first_message: Annotated[str | None, "name of the message in the first recording; null where it has none"]
    second_message: Annotated[str | None, "the same of the second"]
    first_value: Annotated[str | None, "value of the field, raw, enums by name; null where no field differs"]
    second_value: Annotated[str | None, "the same of the second"]


class DifferingFieldPart(TypedDict):
    """All differences of one kind at one field."""

    how: Annotated[str, "as of a difference"]
    place: Annotated[str, "message and field, without numbers of rows"]
    count: Annotated[int, "how often"]
    shown: Annotated[list[DifferencePart], "the first ten"]
    more: Annotated[int, "how many besides these"]


class IgnoredPart(TypedDict):
    """A rule that hid that values differ."""

    place: Annotated[str, "message and field"]
    rule: Annotated[str, "volatile, delta with its tolerance, monotonic or mapped"]
    reason: Annotated[str, "of a rule of your own; else `as declared`"]
    hid: Annotated[int, "how many pairs of values differ and are the same by this rule"]
    judged: Annotated[int, "how many it judged in all"]


class DiffPart(TypedDict):
    """What two recordings do not have the same."""

    same: Annotated[bool, "whether all that was said is the same, and all could be read"]
    compared: Annotated[int, "pairs of messages"]
    differences: Annotated[int, "how many"]
    first: Annotated[DifferencePart | None, "the first of them; null where there is none"]
    fields: Annotated[list[DifferingFieldPart], "all of them, by field"]
    ignored: Annotated[list[IgnoredPart], "what is the same by a rule alone"]
    never_applied: Annotated[list[str], "fields with a rule of your own that no message has"]
    sealed: Annotated[list[int], "frames that no key opens, of each recording: they are the same as nothing"]
    damage: Annotated[list[str], "places of the files that cannot be read"]


RECORDING_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "redact": ((RedactedPart,),),
    "import": ((ImportedPart,),),
    "record": ((ReadyPart,), (RecordedPart,)),
    "replay": ((ReplayReadyPart,), (ReplayEndPart,), (ReplayDifferencePart,), (PlayedPart,)),
    "diff": ((DiffPart,),),
    "decode": ((MessagePart,), (MarkPart,), (BeginningPart,), (DamagePart,), (SummaryPart,)),
    "monitor": ((MessagePart,), (MarkPart,), (BeginningPart,), (DamagePart,)),
    **EXPLAIN_DOCUMENTS,
}
