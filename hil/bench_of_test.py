"""The bench of one test: what it opens on its pump, what was said there, and what has to be closed behind it.

Knows nothing of pytest; `plugin` turns it into fixtures. `BenchSession` opens one for each test.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, cast

from hil.frame_words import folded
from hil.noise import FaultyLine
from hil.outcome_store import OutcomeStore
from hil.programmer.encoding import expect
from hil.programmer.entropy import SeededEntropy, SystemEntropy
from hil.programmer.programmer import Programmer
from hil.programmer.requester import PATIENCE_MS
from hil.report.records import NOT_ASKED
from hil.watched_rig import WatchedRig
from protocol.capture.recording import ASKED, BENCH_ASKS, LINE_FAULT, RIG
from protocol.identifiers import Role
from protocol.link.development_keys import DeviceKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hil.bench_session import BenchSession
    from hil.channel import Channel
    from hil.line_facts import LineFacts
    from hil.rig import Rig
    from hil.targets.supervisor import Gap
    from hil.targets.target import Target
    from hil.wire_log import WireLog

LAST_FRAMES = 16


def _every_answer_counts() -> Callable[[], str]:
    """A target that is itself what is tested has no answer that proves nothing."""
    return lambda: ""


class TestBench:
    """What one test works with. Its channel is opened when it is first wanted."""

    __test__ = False  # not a test, whatever pytest makes of its name

    def __init__(self, session: BenchSession, target: Target, name: str, *, owned: bool) -> None:
        self.target = target
        self._session = session
        self._owned = owned
        self._name = name.encode("utf-8", "backslashreplace").decode()  # of a file, and so perhaps no text
        self._channel: Channel | None = None
        self._line: FaultyLine | None = None
        self._lines: list[FaultyLine] = []
        self._rig: WatchedRig | None = None
        self._programmers: list[Programmer] = []
        self._spoken: list[tuple[DeviceKey, WireLog]] = []
        self._recording = session.recording
        self._gaps_before = len(session.gaps)
        self._console_before = 0 if session.console is None else session.console.count
        self._by_hand = False
        self._damaged_before = 0 if owned or session.renews else session.damaged_at_pump
        self.why_not_evidence: Callable[[], str] = getattr(target, "watch_answers", _every_answer_counts)()
        """Says why what the test was answered proves nothing of the pump, as of a replay; "" where it does."""
        if self._recording is not None:
            self._recording.begin_test(self._name)

    @property
    def is_new(self) -> bool:
        """Whether the pump was made for this test, and ends with it."""
        return self._owned

    @property
    def channel(self) -> Channel:
        """The raw line. Who takes it may say anything on it, so what is counted there proves nothing of the line."""
        self._by_hand = True
        return self._opened()

    def _opened(self) -> Channel:
        if self._channel is None:
            channel = self._session.open_line(self.target)
            self._channel = channel if self._recording is None else self._recording.recorded(channel)
        return self._channel

    @property
    def line(self) -> FaultyLine:
        """The line with room for faults; all programmers of the test are on it."""
        if self._line is None:
            self._line = FaultyLine(self._opened(), self._marking(LINE_FAULT))
            self._lines.append(self._line)
        return self._line

    def reopen_line(self) -> FaultyLine:
        """Close the channel and open another, as a client that comes again."""
        if self._channel is not None:
            self._channel.close()
        self._channel = None
        self._line = None
        return self.line

    def open_programmer(
        self,
        role: Role = Role.CLINICIAN,
        *,
        key: DeviceKey | None = None,
        store: OutcomeStore | None = None,
        state_path: Path | None = None,
        connect: bool = True,
        patience_ms: int = PATIENCE_MS,
    ) -> Programmer:
        """A programmer on the test's line. Without a store it remembers nothing once it is gone."""
        key = self._session.key_of(role) if key is None else expect("key", key, DeviceKey, "a DeviceKey")
        if self._recording is not None:
            self._recording.know(key)
        if store is None:
            store = OutcomeStore(state_path, key=key.key)
        programmer = Programmer(
            self.line,
            key=key,
            store=store,
            entropy=self._entropy(),
            patience_ms=expect("patience_ms", patience_ms, int, "a number of ms"),
            expected_pump=None if self._owned else self._session.expected_pump,
        )
        self._programmers.append(programmer)
        self.note_frames(key, programmer.wire_log)
        if connect:
            programmer.connect()
        return programmer

    def _entropy(self) -> SeededEntropy | SystemEntropy:
        """The chance of the next programmer; where the pump is new, it is the same in each run of this seed."""
        if not self._owned:
            return SystemEntropy()
        return SeededEntropy(f"{self._session.seed} {self._name} {len(self._programmers)}")

    @property
    def rig(self) -> Rig:
        """The rig of the target, which remembers what this test injects; UsageError where it has none."""
        if self._rig is None:
            hold = getattr(self.target, "hold", None)
            self._rig = WatchedRig(self.target.rig, self._marking(RIG), hold)
        return cast("Rig", self._rig)

    def _marking(self, kind: str) -> Callable[[str], None] | None:
        """What makes marks of a kind in the recording of this test; None where nothing is recorded."""
        return None if self._recording is None else partial(self._recording.mark, kind)

    @contextmanager
    def aside(self, what: str) -> Iterator[None]:
        """What is said in a `with` block is the bench's own and no part of the test; its recording says so."""
        mark = self._marking(BENCH_ASKS)
        if mark is not None:
            mark(what)
        try:
            yield
        finally:
            if mark is not None:
                mark(ASKED)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """How often the line was lost in this test, and came back."""
        return self._session.gaps[self._gaps_before :]

    def line_facts(self, *, ask: bool) -> LineFacts:
        """What was counted in this test at the line's both ends; where `ask`, the pump is asked for its part."""
        from hil.line_facts import facts_of  # noqa: PLC0415 - where a test has failed

        rig, gaps, before = self._rig, self.gaps, self._damaged_before
        spoken, lines, by_hand = self._programmers, self._lines, self._by_hand
        with self.aside("what the failure shows"):
            return facts_of(spoken, lines, rig, gaps, by_hand=by_hand, damaged_before=before, ask=ask)

    def hindrance_to_repeat(self) -> str:
        """Why this test may not be run again; "" where its next run would begin with a new pump, or sent no command."""
        from hil.line_facts import commands_sent  # noqa: PLC0415 - as above

        if self._session.renews:
            return ""
        if self._by_hand:
            return "it used the bare line, and the pump is not made new: nobody knows what it was told"
        sent = ", ".join(commands_sent(self._programmers))
        return sent and f"it sent {sent}, and the pump is not made new: that would be done a second time"

    def expecting_gap(self, *, required: bool = True) -> AbstractContextManager[None]:
        """Let the line go away in a `with` block: what is sent meanwhile is lost, and at the end it is waited for.

        UsageError at the end where it never went away, unless that is not `required`.
        """
        return self._session.expecting_gap(required=required)

    def check_all_fired(self, without_effect: frozenset[str] = frozenset()) -> None:
        """UsageError if a fault on any line of this test did not hit all of its frames, or one of its rig did nothing.

        `without_effect`: faults of the rig of which the test says that they take none.
        """
        for line in self._lines:
            line.check_all_fired()
        if self._rig is not None or without_effect:
            cast("WatchedRig", self.rig).check_all_fired(without_effect)

    def note_frames(self, key: DeviceKey, wire_log: WireLog) -> None:
        """Tell the frames of this log too, where the test fails: what somebody with this key says on the line."""
        self._spoken.append((key, wire_log))

    def last_frames(self) -> str:
        """The last frames of each programmer of this test, decoded, and where all of them are recorded."""
        blocks = []
        for key, wire_log in self._spoken:
            if wire_log.count:
                lines = [part for line in wire_log.text(LAST_FRAMES).splitlines() for part in folded(line)]
                blocks.append("\n".join([f"{key.role.name.lower()}, key {key.key_id}:", *lines]))
        if self._recording is not None:
            blocks += filter(None, [self._recording.where()])
        return "\n".join(blocks)

    def last_console(self) -> str:
        """The last lines of the board's console, and where among them the test began; "" where it has none."""
        console = self._session.console
        return "" if console is None else console.last_lines(self._console_before)

    def close(self, *, passed: bool | None = None) -> None:
        """End what was opened. A pump that is thrown away needs no goodbye; one that stays gets it.

        `passed` of its test stands in the recording; None where nobody says.
        """
        try:
            if self._rig is not None and hasattr(self._rig, "end_test"):  # power first, then a goodbye
                self._rig.end_test()
            says_nothing = not self._programmers or (self._owned and self._session.identity != NOT_ASKED)
            with nullcontext() if says_nothing else self.aside("who is there, and goodbye"):
                for programmer in self._programmers[:1]:
                    self._session.identify(programmer)
                if not (self._owned or self._session.renews):
                    self._session.note_damaged(self._programmers)
                for programmer in self._programmers:
                    if self._owned:
                        programmer.store.close()
                    else:
                        programmer.close()
        finally:
            if self._recording is not None:
                verdict = {True: "passed", False: "did not pass", None: "ended"}[passed]
                self._recording.end_test(self._name, verdict)
            if self._channel is not None:
                self._channel.close()
            if self._owned:
                self._session.retire(self.target)
