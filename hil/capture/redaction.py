"""A recording written anew without who was there: suite NONE, no key, and pseudonyms for all that is an identity.

Which fields are identities stands in the declarations of messages and log entries, those of vendors too. What cannot be
read is blanked, since nobody knows what is in it; that it was there, and how long it was, stays.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hil.capture.messages import FrameState, NumberedMark, RecordedMessage
from hil.capture.pseudonyms import LEFT_OUT, REDACTED, TEXTS, Pseudonyms
from protocol.capture import recording
from protocol.capture.recording import (
    DROPPED,
    EVENT,
    LINE_FAULT,
    LINE_GAP,
    RIG,
    TEST_BEGINS,
    TEST_ENDS,
    WALL_MOVED,
    Beginning,
)
from protocol.codec.atoms import Malformed
from protocol.codec.identities import Identity
from protocol.codec.layouts import declaration_of, declared_classes, encode
from protocol.identifiers import Suite
from protocol.link.connection import plain_frame
from protocol.log.entry import CorruptEntry, LogEntry, pack_data
from protocol.messages.handshake import ClientHello, PumpHello
from protocol.wire.frame import BadFrame, Frame
from protocol.wire.framing import DELIMITER, decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hil.capture.messages import Read
    from protocol.capture.recording import Mark

MARKED: Final = "REDACTED: suite NONE, no keys; who was there has pseudonyms"
KEPT_OF_HEADER: Final = ("seed", "security", "time", "pace", "file", "worker", "wall_ns", "monotonic_ns")
"""What a recorder says of a recording that names nobody."""
SAFE_KINDS: Final = frozenset(
    {REDACTED, WALL_MOVED, TEST_BEGINS, TEST_ENDS, RIG, LINE_FAULT, DROPPED, LINE_GAP}
)
"""Marks whose words are ours: names in them are replaced. The words of others are left out."""
_SEQ_BYTES: Final = 4
_FILLER: Final = 0x55
_OF_EVENTS: Final = {"client_nonce": Identity.NONCE}
"""Fields of events of an emulated pump that no message has."""
_EVENT_TIMES: Final = ("now_ms", "line_ms")
"""What else an event of ours says of itself. Nobody knows what another member of its document holds."""


def identities_by_name() -> dict[str, Identity]:
    """What a field is in any message, by its name, so that events that have a field of this name are redacted too."""
    found = dict(_OF_EVENTS)
    for cls in declared_classes():
        for name, identity in declaration_of(cls).identities.items():
            if identity not in (Identity.CONFIG, Identity.LOG_ENTRIES):
                found.setdefault(name, identity)
    return found


@dataclass
class Redaction:
    """One recording being redacted: first every entry is seen, then each is written."""

    pseudonyms: Pseudonyms
    packets: int = 0
    sealed: int = 0
    """Frames that no key opens: they cannot be redacted."""
    without_direction: int = 0
    blanked: int = 0
    """Packets of which some bytes could not be read, and are zeros now."""
    _last_hello: bytes = b""
    _corrupt_entries: int = 0
    _names: dict[str, Identity] = field(default_factory=identities_by_name)

    def see(self, entries: Iterable[Read]) -> None:
        """Learn who was there."""
        for entry in entries:
            if isinstance(entry, Beginning):
                self._header(entry)
            elif isinstance(entry, RecordedMessage):
                self.sealed += entry.state is FrameState.SEALED
                self.without_direction += entry.passed.way is None or entry.passed.time_ns is None
                if entry.message is not None:
                    self._message(entry.message)

    def written(self, entries: Iterable[Read], version: str) -> Iterator[bytes]:
        """The blocks of the new file. Sealed frames become marks, damage is left out: the caller says how much."""
        self._last_hello = b""
        for entry in entries:
            match entry:
                case Beginning():
                    yield recording.beginning(self._header(entry), version)
                case NumberedMark():
                    yield self._mark(entry.mark)
                case RecordedMessage():
                    self.packets += entry.state is not FrameState.SEALED
                    yield self._passed(entry)

    # --- parts of a file ----------------------------------------------------------------------------------------------

    def _header(self, beginning: Beginning) -> dict[str, str]:
        told = {REDACTED: MARKED}
        for name, value in beginning.told.items():
            if name == REDACTED:
                continue
            if name == "target":
                told[name] = value.partition(":")[0] if re.match(r"[a-z]+(:|$)", value) else LEFT_OUT
            elif name == "serial":
                told[name] = (
                    self.pseudonyms.of(Identity.SERIAL, value.encode().ljust(12, b"\0"))
                    .rstrip(b"\0")
                    .decode()
                )
            elif name == "memory_id":
                told[name] = self._memory(value)
            elif name == "profile" and "/" not in value:
                told[name] = self.pseudonyms.in_text(value)
            else:
                told[name] = value if name in KEPT_OF_HEADER else LEFT_OUT
        return told

    def _memory(self, value: str) -> str:
        try:
            return f"{self.pseudonyms.of(Identity.MEMORY, int(value, 16)):016x}"
        except ValueError:
            return value if value == "unknown" else LEFT_OUT

    def _mark(self, mark: Mark) -> bytes:
        time_ns = 0 if mark.time_ns is None else mark.time_ns
        if mark.kind == EVENT:
            return recording.mark(time_ns, EVENT, self._event(mark.text))
        if mark.kind in SAFE_KINDS:
            return recording.mark(time_ns, mark.kind, self.pseudonyms.in_text(mark.text))
        return recording.mark(time_ns, "mark", LEFT_OUT)

    def _event(self, text: str) -> str:
        try:
            event = json.loads(text)
            words, fields = event["text"], event["fields"]
            replaced: list[tuple[str, str, str]] = []
            told: dict[str, Any] = {
                name: each for name, each in event.items() if name in _EVENT_TIMES and type(each) is int
            }
            told["kind"] = self.pseudonyms.in_text(event["kind"])
            told["fields"] = self._event_fields(fields, replaced)
            for name, old, new in replaced:
                words = re.sub(rf"\b{re.escape(name)} {re.escape(old)}\b", f"{name} {new}", words)
            told["text"] = self.pseudonyms.in_text(words)
            return json.dumps(told)
        except (ValueError, KeyError, TypeError, AttributeError):
            return LEFT_OUT

    def _event_fields(self, value: Any, replaced: list[tuple[str, str, str]]) -> Any:
        if isinstance(value, list):
            return [self._event_fields(each, replaced) for each in value]
        if isinstance(value, str):
            return self.pseudonyms.in_text(value)
        if not isinstance(value, dict):
            return value
        fields = {}
        for name, each in value.items():
            identity = self._names.get(name)
            if identity is None or each is None or isinstance(each, (dict, list)):
                fields[name] = self._event_fields(each, replaced)
                continue
            fields[name] = self._event_field(identity, each)
            replaced.append((name, str(each), str(fields[name])))
        return fields

    def _event_field(self, identity: Identity, value: int | str) -> int | str:
        """Events have bytes in hex; a text that is none is a text."""
        if isinstance(value, int):
            return self.pseudonyms.of(identity, value)  # type: ignore[no-any-return]
        try:
            data = bytes.fromhex(value)
        except ValueError:
            return self.pseudonyms.name(value, "name")
        return str(self.pseudonyms.of(identity, data).hex())

    # --- packets ------------------------------------------------------------------------------------------------------

    def _passed(self, entry: RecordedMessage) -> bytes:
        passed = entry.passed
        assert passed.way is not None  # noqa: S101 - the caller looked
        assert passed.time_ns is not None  # noqa: S101 - the same
        if entry.state is FrameState.SEALED:
            words = f"a sealed frame of {len(passed.data)} bytes {passed.way.words}"
            return recording.mark(passed.time_ns, REDACTED, words)
        data = passed.data if entry.frame is None else self._bytes(entry)
        return recording.passed(passed.way, passed.time_ns, data, passed.pump_ms)

    def _bytes(self, entry: RecordedMessage) -> bytes:
        data, frame = entry.passed.data, entry.frame
        if isinstance(frame, BadFrame) or frame is None or entry.payload is None:
            self.blanked += 1
            return blanked(data)
        if entry.message is None:
            self.blanked += bool(entry.payload)
            payload = bytes(len(entry.payload))
        else:
            corrupt = self._corrupt_entries
            payload = encode(self._message(entry.message))
            self.blanked += self._corrupt_entries > corrupt
            of_later_version = len(entry.payload) - len(encode(entry.message))
            if of_later_version > 0:
                self.blanked += 1
                payload += bytes(of_later_version)
        wire = plain_frame(frame.kind, frame.opcode, frame.sid, frame.ctr, frame.ref, payload).wire
        leading = data[: len(data) - len(data.lstrip(DELIMITER))]
        trailing = data[len(data.rstrip(DELIMITER)) :]
        return leading + wire.strip(DELIMITER) + trailing

    def _message(self, message: Any) -> Any:
        """The message with its identities replaced; a handshake as suite NONE has it."""
        changed: dict[str, Any] = {}
        identities = declaration_of(type(message)).identities
        for name, value in zip(message._fields, message, strict=True):
            identity = identities.get(name)
            if identity is not None:
                changed[name] = self._field(identity, message, value)
            elif isinstance(value, tuple):
                changed[name] = self._rows(value)
        if isinstance(message, ClientHello):
            self._last_hello = changed["nonce_c"]
            changed["suites"] = int(Suite.NONE)
        elif isinstance(message, PumpHello):
            changed["suite"] = Suite.NONE
        return message._replace(**changed) if changed else message

    def _rows(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if hasattr(value, "_fields"):
            return self._message(value)  # type: ignore[no-any-return]
        return tuple(self._message(each) if hasattr(each, "_fields") else each for each in value)

    def _field(self, identity: Identity, message: Any, value: Any) -> Any:
        match identity:
            case Identity.HANDLE if not self.pseudonyms.knows_nonce(value):
                return self._last_hello[: len(value)].ljust(len(value), b"\0")
            case Identity.CONFIG:
                word = TEXTS.get(message.config_id)
                return value if word is None else self.pseudonyms.text(value, word)
            case Identity.LOG_ENTRIES:
                return tuple(map(self._log_entry, value))
        return self.pseudonyms.of(identity, value)

    def _log_entry(self, raw: bytes) -> bytes:
        """An entry as it is stored; of one that is corrupt its number alone stays, and that it is corrupt."""
        try:
            entry = LogEntry.unpack(raw)
            details = entry.details()
        except (CorruptEntry, Malformed, KeyError):
            self._corrupt_entries += 1
            return raw[:_SEQ_BYTES] + b"\xff" * (len(raw) - _SEQ_BYTES)
        if not declaration_of(type(details)).identities:
            return raw
        return entry._replace(data=pack_data(self._message(details))).pack()


def blanked(data: bytes) -> bytes:
    """Bytes of the same length and with the same delimiters that are no frame either."""
    filled = bytes(each and _FILLER for each in data)
    frames = (decode_frame(part) for part in filled.split(DELIMITER) if part)
    assert not any(isinstance(frame, Frame) for frame in frames)  # noqa: S101 - no check is of one repeated byte
    return filled
