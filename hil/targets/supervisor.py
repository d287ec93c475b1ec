"""Keeps the line to a board through its loss: a cable that is pulled, a hub or a board that starts anew.

What opens the line is handed in, and looks for the board at each opening. Nothing is ever sent twice here: who asked a
question hears of the gap by `LineGap` and finds out in a new session what became of it. That the pump behind the line
is still the same is compared there too, before anything else (`hil.programmer.expected_pump`).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.channel import Channel
from hil.errors import BadConfiguration, BenchLost, InUse, LineGap, PumpbenchError, UsageError
from hil.host_clock import host_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RETRY_MS: Final = 100
FOUND_WITHIN_MS: Final = 30_000  # a board that starts anew takes 2 s, a hub 5 s, a person with a plug 20 s
RETURNS_MAX: Final = 5
"""How often a channel may come back: 0.1, 0.2, ... 1.6 s apart. A board that one request resets again and again is a
fault of the board, and would go on for hours, since time stands still in each gap."""
CURED_BY_WAITING: Final = frozenset({BenchLost, BadConfiguration, InUse})
"""Exactly these: what is derived of them says something that waiting does not cure, such as a lease that was lost."""
MS_PER_S: Final = 1_000


class Gap(NamedTuple):
    """One loss of the line, from which it came back."""

    lasted_ms: int
    expected: bool
    """Whether a test said that the line would go away."""

    @property
    def words(self) -> str:
        """For people, and for a mark in a recording; without a name, which might have to be redacted."""
        return f"{'expected' if self.expected else 'unexpected'}, {self.lasted_ms} ms"

    @classmethod
    def of_words(cls, words: str) -> Gap:
        """The gap of which these are the words."""
        expected, lasted = words.removesuffix(" ms").split(", ")
        return cls(int(lasted), expected == "expected")


def _pause(duration_ms: int) -> None:
    threading.Event().wait(duration_ms / MS_PER_S)


class LineSupervisor:
    """Owns the way to one line: opens it, and opens it again where it was lost."""

    def __init__(
        self,
        name: str,
        open_line: Callable[[], Channel],
        *,
        told: Callable[[str], None] = lambda _words: None,
        say: Callable[[str], object] = lambda _sentence: None,
        found_within_ms: int = FOUND_WITHIN_MS,
        now_ms: Callable[[], int] = host_ms,
        pause: Callable[[int], None] = _pause,
    ) -> None:
        """`open_line` opens it with all its settings.

        `told` hears, without the line's name, that it was lost or found; `say` tells a person that it is waited for.
        `now_ms` and `pause` are the clock while there is no line.
        """
        self.name = name
        self.gaps: list[Gap] = []
        """All from which the line came back, in order."""
        self.is_gap_expected = False
        self.now_ms = now_ms
        self.pause = pause
        self.told = told
        self.say = say
        self._open_line = open_line
        self._found_within_ms = found_within_ms
        self._was_open = False
        self._lost: BenchLost | None = None
        self._channel: SupervisedChannel | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the line was lost, and is not waited for any more."""
        return self._lost is not None

    def open(self) -> SupervisedChannel:
        """The line; the channel before is closed. Raises what opening raises where it was never open.

        Later it is waited for, and where it does not come back BenchLost says in which state the port is. That is said
        at once from then on.
        """
        if self._channel is not None:
            self._channel.close()
        if self._lost is not None:
            raise self._lost
        try:
            line = self._open_line()
        except BadConfiguration as error:
            if not self._was_open:
                raise
            self.told("the line is lost")
            since_ms = self.now_ms()
            line = self.find(error, since_ms, returns=0)
        self._was_open = True
        self._channel = SupervisedChannel(self, line)
        return self._channel

    def find(self, error: PumpbenchError, since_ms: int, *, returns: int) -> Channel:
        """Open the line again, as soon as it is there. BenchLost in the end; `error` is how it was lost.

        `returns`: how often it came back before.
        """
        until_ms = self.now_ms() + self._found_within_ms
        pause_ms = RETRY_MS << returns
        if returns < RETURNS_MAX and not self.is_gap_expected:
            self.say(
                f"{self.name} is lost, and waited for up to {self._found_within_ms // MS_PER_S} s: {error.message}"
            )
        while returns < RETURNS_MAX and self.now_ms() < until_ms:
            self.pause(pause_ms)
            line, error = self.look(error)
            if line is not None:
                self.note_return(since_ms)
                return line
        if returns < RETURNS_MAX:
            what = f"did not come back within {self._found_within_ms // MS_PER_S} s"
        else:
            what = f"had come back {returns} times already"
        self._lost = BenchLost(
            f"{self.name} was lost and {what}: {error.message}",
            advice="look at cable, hub and the board's power; what was sent last may have been carried out",
        )
        raise self._lost from error

    def look(self, error: PumpbenchError) -> tuple[Channel | None, PumpbenchError]:
        """The line if it is there now, and else why not; raises what waiting does not cure."""
        try:
            return self._open_line(), error
        except PumpbenchError as reason:
            if type(reason) not in CURED_BY_WAITING:
                raise
            return None, reason

    def note_return(self, since_ms: int) -> Gap:
        """Count a gap that is over."""
        gap = Gap(self.now_ms() - since_ms, self.is_gap_expected)
        self.gaps.append(gap)
        self.told(f"the line is back: {gap.words}")
        if not gap.expected:
            self.say(f"{self.name} is back: {gap.words}")
        return gap

    @contextmanager
    def expecting_gap(self, *, required: bool = True) -> Iterator[None]:
        """Let the line go away without an error: bytes that are sent meanwhile are lost, and none come.

        At the end it is waited for. UsageError where it never went away although that is `required`; a loss that
        nobody sees, since nobody sends or listens, is none.
        """
        before = len(self.gaps)
        self.is_gap_expected = True
        try:
            yield
            if self._channel is not None:
                self._channel.come_back()
        finally:
            self.is_gap_expected = False
        if required and len(self.gaps) == before:
            raise UsageError(
                f"{self.name} did not go away where a test expects it: it proves nothing by that",
                advice="unplug it, or let the test expect no gap",
            )


class SupervisedChannel(Channel):
    """The line as its user sees it. Its time stands still while it is waited for, so that no deadline passes then."""

    def __init__(self, supervisor: LineSupervisor, line: Channel) -> None:
        self._supervisor = supervisor
        self._line: Channel | None = line
        self._closed = False
        self._sent_before = 0
        self._shift_ms = 0  # what this line's time is ahead of its own
        self._lost_at_ms = 0  # on this line's time
        self._lost_since_ms = 0  # on the supervisor's clock
        self._why: PumpbenchError = BenchLost("")
        self._returns = 0  # from gaps that nobody expected

    @property
    def sent_bytes(self) -> int:
        """Bytes that went onto the line, before and after each gap."""
        return self._sent_before + (0 if self._line is None else self._line.sent_bytes)

    def now_ms(self) -> int:
        if self._line is not None:
            return self._line.now_ms() + self._shift_ms
        passed_ms = self._supervisor.now_ms() - self._lost_since_ms
        return self._lost_at_ms + (passed_ms if self._supervisor.is_gap_expected else 0)

    def device_ms(self) -> int | None:
        return None if self._line is None else self._line.device_ms()

    def send(self, data: bytes) -> None:
        """Put it on the line. LineGap where that was lost meanwhile: whether `data` arrived is not known."""
        line = self._present()
        if line is None:
            return
        try:
            line.send(data)
        except (BenchLost, InUse) as error:
            self._bear(error)

    def receive(self, deadline_ms: int) -> bytes:
        """What has arrived. LineGap where the line was lost meanwhile, and is back."""
        while True:
            line = self._present()
            if line is not None:
                try:
                    data = line.receive(deadline_ms - self._shift_ms)
                except (BenchLost, InUse) as error:
                    self._bear(error)
                else:
                    return data
            elif self.now_ms() >= deadline_ms:
                return b""
            else:
                self._supervisor.pause(min(RETRY_MS, deadline_ms - self.now_ms()))

    def close(self) -> None:
        self._closed = True
        self._let_go()

    def come_back(self) -> None:
        """Wait for the line, where it is gone now."""
        if self._line is None and not self._closed:
            self._wait()

    def _present(self) -> Channel | None:
        """The line; None in a gap that is expected and goes on."""
        if self._closed:
            raise BenchLost(f"{self._supervisor.name} was closed", advice="open the channel again")
        if self._line is None:
            if not self._supervisor.is_gap_expected:
                self._wait()
            else:
                line, self._why = self._supervisor.look(self._why)
                if line is not None:
                    self._supervisor.note_return(self._lost_since_ms)
                    self._take(line)
        return self._line

    def _bear(self, error: BenchLost | InUse) -> None:
        """Let the line go. LineGap once it is back, unless a gap is expected; what waiting does not cure is raised."""
        is_taken = isinstance(error, InUse) and not self._returns  # by another program, from the start
        if type(error) not in CURED_BY_WAITING or is_taken:
            raise error
        self._lost_at_ms, self._lost_since_ms = self.now_ms(), self._supervisor.now_ms()
        self._let_go()
        self._why = error
        self._supervisor.told("the line is lost")
        if self._supervisor.is_gap_expected:
            return
        self._wait()
        gap = self._supervisor.gaps[-1]
        raise LineGap(
            f"{self._supervisor.name} was lost for {gap.lasted_ms} ms ({error.message})",
            advice="what was on its way may have arrived or not: ask in a new session",
        ) from error

    def _wait(self) -> None:
        self._take(self._supervisor.find(self._why, self._lost_since_ms, returns=self._returns))
        self._returns += not self._supervisor.is_gap_expected

    def _take(self, line: Channel) -> None:
        self._shift_ms = self.now_ms() - line.now_ms()
        self._line = line

    def _let_go(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._sent_before += line.sent_bytes
            with suppress(PumpbenchError, OSError):  # of a port that is no more
                line.close()
