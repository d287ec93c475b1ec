"""The recordings of a run, test by test: what was said in each, by the marks of its beginning and its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.capture.messages import (
    FrameState,
    NumberedMark,
    RecordedMessage,
    entries_of,
    messages_of,
    read_messages,
)
from protocol.capture.pcapng import Damage
from protocol.capture.recording import ASKED, BENCH_ASKS, TEST_BEGINS, TEST_ENDS, Beginning, SessionSecret
from protocol.identifiers import Kind, Opcode
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hil.capture.messages import Read
    from protocol.link.development_keys import DeviceKey


@dataclass
class RecordedTest:
    """What was said in one test, in order, without delimiters between frames and what the bench asked for itself."""

    name: str
    is_virtual: bool
    """Whether its times are those of a pump in virtual time, and no clock of a host."""
    messages: list[RecordedMessage] = field(default_factory=list)


@dataclass
class RecordedRun:
    """The recordings of one run, in order: of each worker one behind another."""

    paths: tuple[Path, ...]
    keys: Iterable[DeviceKey] = ()
    headers_alone: bool = False
    """Whether no frame is opened: who answered what, and when, stands in the headers."""
    asks_who_is_there: bool = False
    """Whether each session begins with GET_INFO for the harness, as on a device that stays: that is left out too."""
    damage: list[str] = field(default_factory=list)
    """What could not be read, once it was gone through."""

    def _read(self, path: Path) -> Iterator[Read]:
        if not self.headers_alone:
            return read_messages(path, self.keys)
        in_clear = (each for each in entries_of(path) if not isinstance(each, SessionSecret))
        return messages_of(in_clear, lambda _key_id: None)

    def tests(self) -> Iterator[RecordedTest]:
        """Each test once it has ended. BadConfiguration where a file is no recording."""
        self.damage = []
        test: RecordedTest | None = None
        is_virtual = is_asking = False
        for path in self.paths:
            questions = _FirstQuestions(asked=self.asks_who_is_there)
            for entry in self._read(path):
                match entry:
                    case RecordedMessage() if test is not None and not is_asking:
                        if entry.state is not FrameState.DELIMITERS and not questions.has(entry):
                            test.messages.append(entry)
                    case NumberedMark() if entry.mark.kind == BENCH_ASKS:
                        is_asking = entry.mark.text != ASKED
                    case NumberedMark() if entry.mark.kind in {TEST_BEGINS, TEST_ENDS}:
                        if test is not None:
                            yield test
                        begins = entry.mark.kind == TEST_BEGINS
                        test = RecordedTest(entry.mark.text, is_virtual) if begins else None
                    case Beginning():
                        is_virtual = entry.told.get("time") == "virtual"
                    case Damage():
                        where = "" if entry.at < 0 else f"byte {entry.at}: "
                        self.damage.append(f"{path.name}: {where}{entry.what}")
        if test is not None:  # killed in it
            yield test


class _FirstQuestions:
    """The GET_INFO that each session begins with, and its answer, where they are `asked` for the harness."""

    def __init__(self, *, asked: bool) -> None:
        self._asked = asked
        self._is_new = False
        self._numbers: set[int] = set()

    def has(self, entry: RecordedMessage) -> bool:
        """Whether a message is one of them; all messages pass through here, in order."""
        frame = entry.frame
        if not self._asked or not isinstance(frame, Frame):
            return False
        if frame.kind is Kind.HANDSHAKE:
            self._is_new = True
        elif frame.kind is Kind.REQUEST:
            if self._is_new and frame.opcode == Opcode.GET_INFO:
                self._numbers.add(entry.number)
            self._is_new = False
        return bool(self._numbers & {entry.number, entry.answers})
