"""The target of a run: made, looked at before the first test, handed to each test, recorded, and closed at the end.

Knows nothing of pytest; `plugin` turns it into fixtures. What one test does with it is its `TestBench`.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hil.bench_of_test import TestBench
from hil.board_console import BoardConsole, console_part
from hil.board_facts import expected_of, firmware_file
from hil.capabilities import TargetCapability
from hil.errors import BenchLost, PumpbenchError, UsageError
from hil.identity_words import identity_of
from hil.key_file import key_of_bench
from hil.programmer.encoding import expect
from hil.programmer.expected_pump import ExpectedPump
from hil.programmer.programmer import Programmer
from hil.report.records import NOT_ASKED, recording_name
from hil.session_options import check_baud, check_emulator_options, waiting_ms
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from hil.targets.supervisor import LineSupervisor
from hil.targets.target import Renewable
from protocol.capture.recording import CONSOLE, LINE_GAP
from protocol.identifiers import Role
from protocol.link.development_keys import DeviceKey, development_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hil.address import Address
    from hil.bench_file import BenchTarget
    from hil.capture.run_recording import RunRecording
    from hil.channel import Channel
    from hil.preflight import Seen
    from hil.report.records import RunRecord
    from hil.targets.board import BoardTarget
    from hil.targets.supervisor import Gap
    from hil.targets.target import Target
    from protocol.messages.reading import GetInfoReply

DEFAULT_PROFILE = "implanted"
DEFAULT_SEED = 1


class BenchSession:
    """The target of a run. Where a new pump can be made, each test gets one; else all share the one there is."""

    def __init__(
        self,
        address: Address,
        profile: str | None = None,
        seed: int | None = None,
        baud: int | None = None,
        line_back_within_s: str = "",
    ) -> None:
        """BadConfiguration for a profile, seed or baud that is none, or that this target does not take.

        `line_back_within_s`: how long a line that was lost is waited for, in digits, up to an hour; "" 30 s.
        """
        self.address = address
        self._seed = DEFAULT_SEED if seed is None else seed
        usual = DEFAULT_PROFILE if profile is None else profile
        self._sample = make_target(address, PumpChoice(usual, self._seed, baud=baud))
        self.in_bench_file: BenchTarget | None = getattr(self._sample, "in_bench_file", None)
        if self.in_bench_file is not None:
            usual = self.in_bench_file.profile or usual
        self._usual = PumpChoice(usual, self._seed, baud=baud)
        check_emulator_options(address, profile, seed, makes_pumps=self.makes_pumps)
        check_baud(address, baud)
        self._line_back_within_ms = waiting_ms(line_back_within_s)
        self.purpose = "hil run"
        """What a board is used for, as others are told who want it too."""
        self.say: Callable[[str], object] = lambda _sentence: None
        """Tells a person at once what goes on in the middle of a test."""
        self._shared: Target | None = None
        self._next: Target | None = None
        self._retiring: Target | None = None
        self._supervisor: LineSupervisor | None = None
        self.expected_pump: ExpectedPump | None = None
        """The pump that answered first on the shared line; None where each test has its own."""
        self.recording: RunRecording | None = None
        """What keeps all that passes on the lines of this run; None where nothing does."""
        self.console: BoardConsole | None = None
        """What hears the board's own voice; None where the bench file names no console, and before the first test."""
        self._needed: dict[str, int] = {}
        self.damaged_at_pump: int | None = None
        """Damaged frames by the count of a pump that lives on, after the last test; None where nobody knows."""
        self.identity = NOT_ASKED
        self.info: GetInfoReply | None = None
        """The same as the device says it; None where it was not asked, or did not answer."""
        self.stop_code: int | None = None
        self.stopped = ""

    @property
    def capabilities(self) -> frozenset[TargetCapability]:
        """What the target can do."""
        return self._sample.capabilities

    @property
    def makes_pumps(self) -> bool:
        """Whether the target makes a pump for each test. A board that is reset is one and the same board."""
        return TargetCapability.RESET in self.capabilities and not isinstance(self._sample, Renewable)

    @property
    def _renews_as_told(self) -> bool:
        return not isinstance(self._sample, Renewable) or self._sample.renews_as_told

    @property
    def profile(self) -> str | None:
        """The profile of a pump that is made for a test, or that the board has; None where nobody has said."""
        if self.makes_pumps:
            return self._usual.profile
        return None if self.in_bench_file is None else self.in_bench_file.profile or None

    @property
    def seed(self) -> int | None:
        """The seed of a pump that is made for a test; None where none is made."""
        return self._seed if self.makes_pumps else None

    @property
    def unrecorded(self) -> str:
        """What kept the recording from being whole; "" where nothing did."""
        return "" if self.recording is None else self.recording.trouble

    def tell(self, run: RunRecord, flashed_sha256: str) -> None:
        """Tell the record of a run what it runs on; errors as of `board_facts.firmware_file`."""
        run.target, run.profile, run.seed = self.address.text, self.profile, self.seed
        run.board = getattr(self._sample, "board", str)()
        run.firmware = firmware_file(self.in_bench_file, flashed_sha256)

    def listen(self) -> None:
        """Hear the board's console from here on, where the bench file names one. It can fail no run."""
        if self.console is None and self.in_bench_file is not None and self.in_bench_file.console:
            board = cast("BoardTarget", self._shared_target())
            self.console = BoardConsole(board.open_console, partial(self._mark, CONSOLE))

    def record_beside(self, report: str | None, worker: str | None, *, secrets: bool) -> None:
        """Record from here on into the directory of the report; nothing without one.

        `worker` is the name of a process that shares the run with others. Without `secrets` no key is kept.
        """
        if not report:
            return
        self.purpose = f"hil run, report {report}"
        from hil.capture.run_recording import RunRecording  # noqa: PLC0415 - where it is wanted

        told = {"target": self.address.text, "profile": self.profile, "seed": self.seed, "worker": worker}
        self.recording = RunRecording(
            Path(report).absolute() / recording_name(worker),
            {name: str(value) for name, value in told.items() if value is not None},
            virtual=getattr(self._sample, "has_virtual_time", False),
            secrets=secrets,
        )

    def key_of(self, role: Role) -> DeviceKey:
        """The key of a role: of the board's key file where the bench file names one (LacksKey), else the published."""
        expect("role", role, Role, "a Role")
        bench = self.in_bench_file
        if bench is None or bench.key_file is None:
            return development_key(role)
        return key_of_bench(bench.key_file, role)

    def lacking(self, wanted: frozenset[TargetCapability], *, changed: bool) -> list[str]:
        """What a test wants and the target cannot; another pump than the default needs `reset`."""
        if changed:
            wanted |= {TargetCapability.RESET}
        lacking = sorted(capability.value for capability in wanted - self.capabilities)
        if changed and not lacking and not self._renews_as_told:
            return ["reset to another profile"]
        return lacking

    def open_bench(
        self,
        name: str,
        profile: str | None = None,
        *,
        model: Mapping[str, int | str | bool] | None = None,
        implant: Mapping[str, int | str | bool] | None = None,
    ) -> TestBench:
        """The bench for one test."""
        named = profile or self._usual.profile
        choice = PumpChoice(named, self._seed, model=model or {}, implant=implant or {})
        if self.makes_pumps:
            fresh = self._take(choice)
            bench = TestBench(self, fresh, name, owned=True)
            fresh.start()
            self._prepare_next()
            return bench
        shared = self._shared_target()
        self.listen()
        if self.renews and isinstance(shared, Renewable):
            shared.renew(choice)
        return TestBench(self, shared, name, owned=False)

    @property
    def renews(self) -> bool:
        """Whether each test has a new pump, or the one board made new."""
        return TargetCapability.RESET in self.capabilities

    @property
    def is_lost(self) -> bool:
        """Whether the line to a device that lives on was lost for good."""
        return self._supervisor is not None and self._supervisor.is_lost

    def instruments_needed(self) -> list[str]:
        """Which instruments of the bench file tests needed, and how many did, a line each; what the console said."""
        console = [] if self.console is None else [f"console of the board: {self.console.in_words()}"]
        return console + [
            f"instrument {name}: needed by {count} test{'s' * (count != 1)}"
            for name, count in sorted(self._needed.items())
        ]

    def reach(self) -> None:
        """See that the port of a device that is already there can be opened, before any test is collected.

        Raises what opening raises: one sentence for a person, instead of an error in the first test.
        """
        if self.makes_pumps:
            return
        try:
            self.open_line(self._shared_target()).close()
            self.listen()
        except BaseException:
            self.close()  # a run that does not begin has no end either, and a hook after is to run
            raise

    def open_line(self, target: Target) -> Channel:
        """A channel to a target of this session; that of a device which lives on comes back after a loss."""
        if self._supervisor is None or target is not self._shared:
            return target.open_channel()
        return self._supervisor.open()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """How often the line was lost so far, and came back."""
        return () if self._supervisor is None else tuple(self._supervisor.gaps)

    @contextmanager
    def expecting_gap(self, *, required: bool) -> Iterator[None]:
        """As `LineSupervisor.expecting_gap`; the line of a pump that is made for a test never goes away."""
        if self._supervisor is not None:
            with self._supervisor.expecting_gap(required=required):
                yield
            return
        yield
        if required:
            raise UsageError(
                f"the line of {self.address} never goes away, and a test expects it",
                advice="expect no gap, or say required=False",
            )

    def _mark(self, kind: str, words: str) -> None:
        if self.recording is not None:
            self.recording.mark(kind, words)

    def look_before_a_run(self, report: Path) -> Seen:
        """What a preflight sees of a device that is already there, of the parts around it, and of the disk."""
        from hil.preflight import NOTHING_PROMISED, look_at  # noqa: PLC0415 - an emulator needs none

        with self._programmer_before_tests() as programmer:
            promise = getattr(self._shared, "promise", NOTHING_PROMISED)
            self.listen()
            parts = getattr(self._shared, "parts", tuple)() + console_part(self.console)
            return look_at(programmer, report, promise, expected_of(self.in_bench_file), parts)

    @contextmanager
    def _programmer_before_tests(self) -> Iterator[Programmer]:
        """A programmer on the line of a device that is already there, for what is asked before the first test."""
        channel = self._shared_target().open_channel()
        programmer = Programmer(
            channel,
            key=self.key_of(Role.CLINICIAN),
            expected_pump=getattr(self._shared, "expected_pump", None),
        )
        try:
            yield programmer
        finally:
            programmer.close()
            channel.close()

    def preflight(self, report: str | None) -> None:
        """BenchLost with all reasons, where a run on this target would end in vain, or show what is not so."""
        from hil.preflight import refuse_contradiction, refuse_where_unfit  # noqa: PLC0415 - as above

        if self.makes_pumps and self.address.scheme.name != "emulator":  # which promises what is so
            refuse_contradiction(make_target(self.address, self._usual), self.key_of(Role.CLINICIAN))
        if self.makes_pumps or not self.address.scheme.lives_on:
            return
        seen = self.look_before_a_run(Path(report or "."))
        self.info = seen.info
        refuse_where_unfit(self.address.text, seen)
        shared = self._shared
        if TargetCapability.RESET in self.capabilities and isinstance(shared, Renewable):
            shared.renew(self._usual)
            self._check_new_memory(seen)

    def _check_new_memory(self, before: Seen) -> None:
        """BenchLost where a reset has left the pump the memory that it had."""
        from hil.capability_contract import same_memory  # noqa: PLC0415 - as above

        with self._programmer_before_tests() as programmer:
            after = programmer.info()
        if before.info is not None and (wrong := same_memory(before.promise, before.info, after)):
            raise BenchLost(wrong, advice="no test was begun; look at the command of its reset")

    def _shared_target(self) -> Target:
        """The one and only target, where no new pump can be made."""
        if self._shared is None:
            shared = make_target(self.address, self._usual)
            if hasattr(shared, "purpose"):  # a board, of which others want to know what it is used for
                shared.purpose = self.purpose
            shared.start()
            self._shared = shared
            if self.address.scheme.lives_on:
                self._supervisor = LineSupervisor(
                    self.address.text,
                    shared.open_channel,
                    told=partial(self._mark, LINE_GAP),
                    say=self.say,
                    found_within_ms=self._line_back_within_ms,
                )
                self.expected_pump = getattr(shared, "expected_pump", None) or ExpectedPump(self.address.text)
        return self._shared

    def _take(self, choice: PumpChoice) -> Target:
        """The target that is being prepared, if it is the one that is wanted, else a new one."""
        if choice == self._usual and self._next is not None:
            target, self._next = self._next, None
            return target
        return make_target(self.address, choice)

    def _prepare_next(self) -> None:
        """While a test runs, the pump of the next one starts."""
        if self._next is None:
            self._next = make_target(self.address, self._usual)
            self._next.launch()

    def retire(self, target: Target) -> None:
        """Close a test's target: it ends while the next test begins, and the one before it has ended by now.

        A board ends at once: the next test wants the same one.
        """
        target.dismiss()
        if hasattr(target, "purpose"):
            target.close()
            return
        retiring, self._retiring = self._retiring, target
        if retiring is not None:
            retiring.close()

    def identify(self, programmer: Programmer) -> None:
        """Note once what the device says of itself; a pump without power is asked another time."""
        if self.identity != NOT_ASKED:
            return
        with suppress(PumpbenchError):
            self.info = programmer.info()
            self.identity = identity_of(self.info)

    def note_damaged(self, programmers: Sequence[Programmer]) -> None:
        """Note how many damaged frames the pump has counted so far, for the next test; None where it did not say."""
        from hil.line_facts import damaged_at_pump  # noqa: PLC0415 - an emulator needs none

        self.damaged_at_pump = damaged_at_pump(programmers)

    def close(self) -> None:
        """Give the targets back, and end the recording."""
        if self.console is not None:
            self.console.close()
        if self.recording is not None:
            self.recording.close()
        for target in (self._shared, self._next, self._retiring, self._sample):
            if target is not None:
                target.dismiss()
                target.close()
                self._needed.update(getattr(target, "instruments_used", {}))
        self._shared = self._next = self._retiring = None
