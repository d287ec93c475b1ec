"""`pumpbench decode`: what was said in a recording, a line a message."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hil.capture.messages import FrameState, NumberedMark, RecordedMessage, read_messages
from hil.capture.soundness import Soundness
from hil.cli.connection import tell_error
from hil.cli.documents import json_line
from hil.cli.output import say, tell_lines
from hil.cli.quantities import Quantity
from hil.cli.recording_options import KEY
from hil.errors import BadConfiguration, UsageError
from hil.frame_words import frame_text, opcode_name
from hil.key_file import read_keys
from hil.wire_log import clock_text
from protocol.capture.recording import EVENT, Beginning, Way
from protocol.identifiers import Handshake, Opcode
from protocol.wire.frame import BadFrame, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hil.capture.messages import Read
    from protocol.capture.pcapng import Damage
    from protocol.capture.recording import Mark

NS_PLACES: Final = 9
LONGEST_S: Final = 4_000_000_000
WAYS: Final = {way.words: way for way in Way}
ARROWS: Final = {Way.TO_PUMP: "-->", Way.FROM_PUMP: "<--", None: " ? "}
SECONDS: Final = Quantity("s", places=NS_PLACES, high=LONGEST_S * 10**NS_PLACES)


@dataclass(frozen=True)
class Wanted:
    """Which of it is to be shown; empty and None stand for all."""

    opcodes: frozenset[str]
    way: Way | None
    states: frozenset[str]
    from_ns: int | None
    to_ns: int | None

    def has(self, entry: RecordedMessage | NumberedMark) -> bool:
        """Whether this is among it; a mark has no opcode, way or state."""
        if not self._in_time(entry.since_ns):
            return False
        if isinstance(entry, NumberedMark):
            return not (self.opcodes or self.states or self.way is not None)
        if self.states and entry.state.value not in self.states:
            return False
        if self.way is not None and entry.passed.way is not self.way:
            return False
        return not self.opcodes or (
            isinstance(entry.frame, Frame) and opcode_name(entry.frame) in self.opcodes
        )

    def _in_time(self, since_ns: int | None) -> bool:
        if self.from_ns is None and self.to_ns is None:
            return True
        if since_ns is None:
            return False
        return (self.from_ns or 0) <= since_ns and (self.to_ns is None or since_ns <= self.to_ns)


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what of a recording is to be shown; the command gets them as `wanted`."""

    @click.option(
        "--opcode",
        "opcodes",
        metavar="NAME",
        multiple=True,
        help="Only frames of this opcode, such as BOLUS_COMMIT; again for more.",
    )
    @click.option("--way", type=click.Choice(list(WAYS)), help="Only what went this way.")
    @click.option(
        "--state",
        "states",
        type=click.Choice([state.value for state in FrameState]),
        multiple=True,
        help="Only what could be read so far; again for more.",
    )
    @click.option("--from", "from_ns", type=SECONDS, help="Only from here on, since the first packet.")
    @click.option("--to", "to_ns", type=SECONDS, help="Only up to here.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        opcodes: tuple[str, ...],
        way: str | None,
        states: tuple[str, ...],
        from_ns: int | None,
        to_ns: int | None,
        **kwargs: Any,
    ) -> None:
        names = frozenset(_known_opcode(name) for name in opcodes)
        wanted = Wanted(names, WAYS.get(way or ""), frozenset(states), from_ns, to_ns)
        command(*args, wanted=wanted, **kwargs)

    return wrapped


def _known_opcode(name: str) -> str:
    """The name of an opcode, or the number of one, as frames show it; UsageError for what no frame can have."""
    word = name.upper()
    if word in Opcode.__members__ or word in Handshake.__members__:
        return word
    if re.fullmatch("0X[0-9A-F]{2}", word):
        return f"0x{word[2:]}"
    names = ", ".join([*Handshake.__members__, *Opcode.__members__])
    raise UsageError(f"{name!r} is no opcode: there are {names}, and a vendor's by its number, such as 0xC1")


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@KEY
@choosing
@click.option("--frames", is_flag=True, help="Show the header and every byte of each frame too.")
@click.option("--json", "as_json", is_flag=True, help="A JSON document a line.")
def decode(file: Path, key_path: Path | None, wanted: Wanted, frames: bool, as_json: bool) -> None:
    """Show what was said in a recording: number, time, direction and message, with its fields.

    FILE is in pcapng, of `emulate --record`, of a run, or of another tool. The number is that of Wireshark.
    A file that is damaged is shown as far as it can be read, and ends with 10.
    """
    keys = [] if key_path is None else read_keys(key_path)
    soundness = Soundness()
    entries = soundness.watching(read_messages(file, keys))
    try:
        tell_lines(_shown(file, entries, wanted, soundness, frames=frames, as_json=as_json))
        soundness.check(file, with_key=key_path is not None, advice="what is shown is whole")
    except BadConfiguration as error:
        if as_json:
            tell_error(error)
        raise
    for remark in soundness.remarks(file):
        say(remark)


def _shown(
    file: Path, entries: Iterable[Read], wanted: Wanted, soundness: Soundness, *, frames: bool, as_json: bool
) -> Iterator[str]:
    """A line for each entry that is wanted, and for JSON one that sums up."""
    shown = 0
    for entry in entries:
        if isinstance(entry, RecordedMessage | NumberedMark):
            if not wanted.has(entry):
                continue
            shown += 1
        yield (
            json_line("decode", entry_document(entry, frames=frames))
            if as_json
            else entry_text(entry, frames=frames)
        )
    if as_json:
        counts = {name: getattr(soundness, name) for name in ("packets", "sealed", "bad", "damage")}
        summary = {"entry": "summary", "shown": shown, **counts, "remarks": soundness.remarks(file)}
        yield json_line("decode", summary)


# --- as lines for people --------------------------------------------------------------------------------------------


def entry_text(entry: Read, *, frames: bool = False) -> str:
    """An entry as a line; with `frames` as several, with its bytes."""
    match entry:
        case RecordedMessage():
            return "\n".join([_line(entry), *(_frame_lines(entry) if frames else ())])
        case NumberedMark():
            return f"{_place(entry)} {_mark_text(entry.mark)}".rstrip(": ")
        case Beginning():
            told = ", ".join(f"{name} {value}" for name, value in entry.told.items())
            return f"recorded by {entry.application or 'an unnamed tool'}{': ' if told else ''}{told}"
    return f"!!! {_where(entry)}{entry.what}"


def _mark_text(mark: Mark) -> str:
    """A mark in words; an event of the pump's own world as a rig shows it."""
    if mark.kind != EVENT:
        return f"=== {mark.kind}: {mark.text}"
    try:
        event = json.loads(mark.text)
        return f"[{clock_text(event['now_ms'])}] === {event['text']}"
    except (ValueError, KeyError, TypeError):
        return f"=== {mark.kind}: {mark.text}"


def _where(damage: Damage) -> str:
    if damage.at < 0:
        return ""
    after = "the rest is lost" if damage.resumed_at is None else f"read on from byte {damage.resumed_at}"
    return f"byte {damage.at}, {after}: "


def _place(entry: RecordedMessage | NumberedMark) -> str:
    if entry.since_ns is None:
        return f"{entry.number:>6} {'':>16}"
    sign, ns = ("-", -entry.since_ns) if entry.since_ns < 0 else ("", entry.since_ns)
    return f"{entry.number:>6} {f'{sign}{ns // 10**9}.{ns % 10**9 // 1_000:06}':>16}"


def _line(entry: RecordedMessage) -> str:
    passed, frame = entry.passed, entry.frame
    pump = "" if passed.pump_ms is None else f" [{clock_text(passed.pump_ms)}]"
    lost = f" ({passed.lost_bytes} bytes of it are not in the file)" if passed.lost_bytes else ""
    answers = "" if entry.answers is None else f" (to {entry.answers})"
    if isinstance(frame, Frame):
        said = frame_text(frame, entry.payload)
    elif isinstance(frame, BadFrame):
        said = f"bad frame, {frame.fault.value}: {passed.data.hex(' ')}"
    else:
        said = f"delimiters: {passed.data.hex(' ')}"
    return f"{_place(entry)}{pump} {ARROWS[passed.way]} {said}{answers}{lost}".rstrip()


def _frame_lines(entry: RecordedMessage) -> list[str]:
    lines = [f"{'':>23} wire {entry.passed.data.hex(' ')}"]
    if isinstance(entry.frame, Frame):
        header = " ".join(f"{name}={value}" for name, value in _header(entry.frame).items())
        lines.append(
            f"{'':>23} {header} payload={'sealed' if entry.payload is None else entry.payload.hex()}"
        )
    return lines


# --- as JSON --------------------------------------------------------------------------------------------------------


def _header(frame: Frame) -> dict[str, Any]:
    return {
        "frame_kind": frame.kind.name,
        "opcode": opcode_name(frame),
        "sid": frame.sid,
        "ctr": frame.ctr,
        "ref": frame.ref,
    }


def entry_document(entry: Read, *, frames: bool = False) -> Mapping[str, Any]:
    """An entry as a JSON document."""
    match entry:
        case RecordedMessage():
            return _message_document(entry, frames=frames)
        case NumberedMark():
            mark = entry.mark
            return {"entry": "mark", **_placed(entry, mark.time_ns), "kind": mark.kind, "text": mark.text}
        case Beginning():
            return {"entry": "beginning", "application": entry.application, "told": dict(entry.told)}
    return {"entry": "damage", **entry._asdict()}


def _placed(entry: RecordedMessage | NumberedMark, time_ns: int | None) -> dict[str, Any]:
    return {"number": entry.number, "time_ns": time_ns, "since_ns": entry.since_ns}


def _message_document(entry: RecordedMessage, *, frames: bool) -> dict[str, Any]:
    passed, frame = entry.passed, entry.frame
    document = {
        "entry": "message",
        **_placed(entry, passed.time_ns),
        "way": None if passed.way is None else passed.way.words,
        "pump_ms": passed.pump_ms,
        "state": entry.state.value,
        "header": _header(frame) if isinstance(frame, Frame) else None,
        "answers": entry.answers,
        "message": None if entry.message is None else type(entry.message).__name__,
        "fields": entry.message,
        "trouble": entry.trouble,
        "lost_bytes": passed.lost_bytes,
    }
    if frames:
        payload = None if entry.payload is None else entry.payload.hex()
        document |= {"wire": passed.data.hex(), "payload": payload}
    return document
