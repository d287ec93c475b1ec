"""What a board says on a second serial port, its console: kept in lines, for the recording and for a failure's report.

Nothing that comes from there may end a run: no junk, no line without an end, no flood, no port that vanishes. What is
not kept is counted. Nothing is ever sent.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import BenchLost, PumpbenchError, in_one_line
from hil.host_clock import host_ms
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.channel import Channel
    from hil.instruments.declaration import Part

LINE_BYTES_MAX: Final = 256
"""A longer line is cut into several: junk has no ends of lines."""
LAST_LINES: Final = 30
"""So many are kept for a failure."""
KEPT_PER_S: Final = 200
"""So many lines a second go into the recording, which is about a pump and not about its console: what 115200 baud
can say, in lines of 57 characters."""
LOOK_EVERY_MS: Final = 100
RETRY_S: Final = 1.0
MS_PER_S: Final = 1_000
_ENDS: Final = re.compile(rb"[\r\n]+")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class ConsoleLine(NamedTuple):
    """One line, or a part of one: which it is, from 0, and when its end came on the host's monotonic clock."""

    number: int
    at_ms: int
    data: bytes

    @property
    def text(self) -> str:
        """Without colours, with codes for what is no text; made when somebody asks, since a flood is mostly junk."""
        text = self.data.decode("utf-8", "backslashreplace")
        return in_one_line(_COLOURS.sub("", text))


class ConsoleText:
    """Bytes of a console as lines; the time is handed in. `keep` takes what the recording keeps."""

    def __init__(self, keep: Callable[[str], None]) -> None:
        self.last: tuple[ConsoleLine, ...] = ()
        """The last lines; replaced as a whole, so that another thread may look."""
        self.count = 0
        """Lines that were ever heard."""
        self.left_out = 0
        """Lines that the recording does not have, since there were too many within a second."""
        self._keep = keep
        self._rest = b""
        self._second = 0
        self._in_second = 0
        self._owed = 0

    def take(self, data: bytes, now_ms: int) -> None:
        """Bytes have come."""
        *whole, self._rest = _ENDS.split(self._rest + data)
        self._tell_owed(now_ms)
        # Of a flood only what is kept anywhere is looked at: the line of the pump has to be served meanwhile.
        first, last = max(0, KEPT_PER_S - self._in_second), max(0, len(whole) - LAST_LINES)
        if first < last:
            skipped = sum(map(bool, whole[first:last]))
            self.count += skipped
            self._owed += skipped
            self.left_out += skipped
            whole[first:last] = []
        for line in whole:
            self._line(line, now_ms)
        while len(self._rest) >= LINE_BYTES_MAX:
            part, self._rest = self._rest[:LINE_BYTES_MAX], self._rest[LINE_BYTES_MAX:]
            self._line(part, now_ms)

    def end_line(self, now_ms: int) -> None:
        """Nothing came for a while: what stands there, a prompt perhaps, is a line."""
        rest, self._rest = self._rest, b""
        self._line(rest, now_ms)
        self._tell_owed(now_ms)

    def finish(self, now_ms: int) -> None:
        """Nothing more will come."""
        self.end_line(now_ms)
        self._tell_owed(now_ms + MS_PER_S)

    def note(self, sentence: str, now_ms: int) -> None:
        """Say something of the console itself among its lines."""
        self._add(f"[{sentence}]".encode("utf-8", "backslashreplace"), now_ms)

    def _line(self, line: bytes, now_ms: int) -> None:
        for at in range(0, len(line), LINE_BYTES_MAX):
            self._add(line[at : at + LINE_BYTES_MAX], now_ms)

    def _add(self, data: bytes, now_ms: int) -> None:
        line = ConsoleLine(self.count, now_ms, data)
        self.last = (*self.last, line)[-LAST_LINES:]
        self.count += 1
        self._tell_owed(now_ms)
        self._in_second += 1
        if self._in_second <= KEPT_PER_S:
            self._keep(line.text)
        else:
            self._owed += 1
            self.left_out += 1

    def _tell_owed(self, now_ms: int) -> None:
        """Begin a new second where it is one, and say what the last one left out."""
        second = now_ms // MS_PER_S
        if second == self._second:
            return
        self._second, self._in_second = second, 0
        if self._owed:
            self._keep(f"[{counted(self._owed, 'line')} left out: more than {KEPT_PER_S} within a second]")
            self._owed = 0


class BoardConsole:
    """Listens to a console in a thread of its own, opens it again where it vanishes, and ends with `close`."""

    def __init__(
        self, open_line: Callable[[], Channel], keep: Callable[[str], None], *, retry_s: float = RETRY_S
    ) -> None:
        """`open_line` opens the port, or raises a PumpbenchError; `keep` is called in the thread, a line each.

        `retry_s`: how long after a failure it is opened again.
        """
        self._open_line = open_line
        self._retry_s = retry_s
        self._text = ConsoleText(keep)
        self._end = threading.Event()
        self._tried = threading.Event()
        self.vanished = 0
        """How often it was there and went away."""
        self.trouble = ""
        """Why it is not heard now; "" where it is."""
        self._thread = threading.Thread(target=self._run, name="pumpbench-console", daemon=True)
        self._thread.start()

    def check(self, limit_ms: int) -> str:
        """Wait until its port was tried, and say that it is heard. BenchLost where it is not, by the wall."""
        if not self._tried.wait(limit_ms / MS_PER_S):
            raise BenchLost(f"its port is not open after {limit_ms} ms", advice="look at the port")
        if self.trouble:
            raise BenchLost(self.trouble, advice="plug it in, or leave `console` out of the bench file")
        return "heard"

    @property
    def count(self) -> int:
        """Lines that were heard so far."""
        return self._text.count

    def last_lines(self, since: int) -> str:
        """The last lines, with the host's time as of `line` in frames; "" where there are none.

        `since` is the `count` with which the test began: a line of its own says where that was.
        """
        lines = self._text.last
        if not lines:
            return ""
        earlier = lines[-1].number + 1 - len(lines)
        shown = [f"line {line.at_ms} ms  {line.text}" for line in lines]
        if before := sum(line.number < since for line in lines):
            shown.insert(before, "(the test begins)")
        if earlier:
            shown.insert(0, f"({counted(earlier, 'earlier line')})")
        return "\n".join(shown)

    def in_words(self) -> str:
        """What was heard, for the end of a run."""
        parts = [counted(self._text.count, "line")]
        if self._text.left_out:
            parts.append(f"{self._text.left_out} of them not recorded: too many within a second")
        if self.vanished:
            parts.append(f"vanished {counted(self.vanished, 'time')}")
        return ", ".join([*parts, *filter(None, [self.trouble])])

    def close(self) -> None:
        """Listen no more."""
        self._end.set()
        self._thread.join()
        self._text.finish(host_ms())

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                channel = self._open_line()
            except (PumpbenchError, OSError) as error:
                self._note_trouble(f"the console cannot be opened: {error}")
                self._tried.set()
                self._end.wait(self._retry_s)
                continue
            self.trouble = ""
            self._tried.set()
            try:
                self._listen(channel)
            except (PumpbenchError, OSError) as error:
                self.vanished += 1
                self._note_trouble(f"the console is gone: {error}")
                self._end.wait(self._retry_s)
            finally:
                with suppress(PumpbenchError, OSError):  # of a port that is no more
                    channel.close()

    def _listen(self, channel: Channel) -> None:
        while not self._end.is_set():
            data = channel.receive(channel.now_ms() + LOOK_EVERY_MS)
            if data:
                self._text.take(data, host_ms())
            else:
                self._text.end_line(host_ms())

    def _note_trouble(self, sentence: str) -> None:
        """Say it among the lines, once: it may be so for the rest of a run."""
        if sentence != self.trouble:
            self.trouble = sentence
            self._text.note(sentence, host_ms())


def console_part(console: BoardConsole | None) -> tuple[Part, ...]:
    """A console as a part of its bench, to be looked at before a run; nothing where there is none."""
    from hil.instruments.declaration import Part  # noqa: PLC0415 - before a run alone

    return () if console is None else (Part("console", console.check),)
