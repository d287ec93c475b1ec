"""How sound a recording is: what of it could not be read, and what is strange about what could.

Whoever shows a part of a recording lets all of it pass through here, so that nothing is left out in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from hil.capture.messages import NOT_ITS_KEY, FrameState, Many, RecordedMessage
from hil.errors import BadConfiguration
from hil.quantity_words import are, counted
from protocol.capture.pcapng import Damage
from protocol.capture.recording import Beginning, is_foreign
from protocol.messages.handshake import PumpHello
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hil.capture.messages import Read

NS_PER_S = 1_000_000_000


@dataclass
class Soundness:
    """What was read of one recording so far."""

    packets: int = 0
    """Messages and marks."""
    sealed: int = 0
    """Frames that no key opened."""
    bad: int = 0
    """Damaged frames, and bytes that are no frame."""
    damage: int = 0
    """Places of the file that cannot be read, packets of something else among them."""
    first_damage: str = ""
    foreign: int = 0
    _went_back: list[tuple[int, int]] = field(default_factory=list)
    _last_ns: int | None = None
    _sid: int = 0
    _over: set[int] = field(default_factory=set)
    _came_again: int = 0
    """The first packet of a session that passes after one that began after it; 0 where there is none."""
    _opened: set[int] = field(default_factory=set)
    _not_opened: set[int] = field(default_factory=set)

    @overload
    def watching(self, entries: Iterable[Read]) -> Iterator[Read]: ...

    @overload
    def watching(self, entries: Iterable[Read | Many]) -> Iterator[Read | Many]: ...

    def watching(self, entries: Iterable[Read | Many]) -> Iterator[Read | Many]:
        """The same entries, each looked at on its way."""
        for entry in entries:
            self.take(entry)
            yield entry

    def take(self, entry: Read | Many) -> None:
        """Look at one more."""
        if isinstance(entry, Many):
            self._take_many(entry)
            return
        if isinstance(entry, Damage):
            self.damage += 1
            self.first_damage = self.first_damage or entry.what
            self.foreign += is_foreign(entry)
            return
        if isinstance(entry, Beginning):
            self._last_ns, self._sid = None, 0
            self._over.clear()
            return
        self.packets += 1
        time_ns = entry.passed.time_ns if isinstance(entry, RecordedMessage) else entry.mark.time_ns
        if time_ns is not None:
            self._take_time(entry.number, time_ns)
        if isinstance(entry, RecordedMessage):
            if isinstance(entry.message, PumpHello):  # of another pump, perhaps, with the same seed
                self._over.discard(entry.message.sid)
            self._take_message(entry)

    def _take_many(self, many: Many) -> None:
        self.packets += many.count
        self._take_time(many.number, many.first_ns)
        self._went_back += [(many.number + place, back_ns) for place, back_ns in many.went_back]
        self._last_ns = many.last_ns

    def _take_time(self, number: int, time_ns: int) -> None:
        if self._last_ns is not None and time_ns < self._last_ns:
            self._went_back.append((number, self._last_ns - time_ns))
        self._last_ns = time_ns

    def _take_message(self, entry: RecordedMessage) -> None:
        self.sealed += entry.state is FrameState.SEALED
        self.bad += entry.state is FrameState.BAD
        frame = entry.frame
        if not isinstance(frame, Frame) or not frame.flags:
            return
        if entry.state is FrameState.OPENED:
            self._opened.add(frame.sid)
        elif entry.trouble == NOT_ITS_KEY:
            self._not_opened.add(frame.sid)
        if frame.sid != self._sid:
            if frame.sid in self._over and not self._came_again:
                self._came_again = entry.number
            self._over.add(self._sid)
            self._sid = frame.sid

    def refuse_foreign(self, file: Path) -> None:
        """BadConfiguration where all of it is a capture of something else: nothing is to be said of that."""
        if self.foreign and not self.packets:
            raise BadConfiguration(
                f"{file} is a capture of something else: it has {self.first_damage}",
                advice="name a recording of a line to a pump; `pumpbench import` makes one of other captures",
            )

    def check(self, file: Path, *, with_key: bool, advice: str) -> None:
        """BadConfiguration where the file, or the key, is not what it should be; `advice` on what was read of it."""
        self.refuse_foreign(file)
        if self.damage:
            first = "" if self.damage == 1 else "the first of them "
            raise BadConfiguration(
                f"{file} is damaged in {counted(self.damage, 'place')}, {first}{self.first_damage};"
                f" {counted(self.packets, 'packet')} could be read",
                advice=advice,
            )
        if self.sealed and with_key:
            raise BadConfiguration(
                f"{counted(self.sealed, 'frame')} of {file} {are(self.sealed)} sealed, and no key of --key opens them",
                advice="it may be another device's, or their handshake was not recorded",
            )
        if self._not_opened - self._opened:
            raise BadConfiguration(self._sealed_words(file), advice="give the device's by --key")

    def remarks(self, file: Path) -> list[str]:
        """What a reader must know of a file that is whole, in sentences."""
        told = []
        if self.sealed:
            told.append(f"{self._sealed_words(file)}: give the device's by --key")
        if self._went_back:
            number, back_ns = self._went_back[0]
            times = "once" if len(self._went_back) == 1 else f"{len(self._went_back)} times"
            told.append(
                f"time goes back {times} in {file}, first at packet {number}, by {back_ns / NS_PER_S:.6f} s:"
                " its clock was set, or packets are out of order"
            )
        if self._came_again:
            told.append(
                f"packet {self._came_again} of {file} is of a session that was over: the lines of two pumps are in"
                " one file, or old frames were sent again"
            )
        if not self.packets:
            told.append(f"{file} is a recording of nothing")
        return told

    def _sealed_words(self, file: Path) -> str:
        wrong = self._not_opened - self._opened
        if not wrong:
            return (
                f"{counted(self.sealed, 'frame')} {are(self.sealed)} sealed, and the file has no key for them"
            )
        sessions = "a session" if len(wrong) == 1 else counted(len(wrong), "session")
        frames = f"{counted(self.sealed, 'frame')} of {file} {are(self.sealed)} sealed"
        return f"{frames}, and the key that it has for {sessions} opens none of them"
