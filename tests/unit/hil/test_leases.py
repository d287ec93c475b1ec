"""Leases on boards: one holder, whom others are told of; lost at once where revoked, freed however its holder ends."""

from __future__ import annotations

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from hil.bench_file import BenchTarget
from hil.errors import BadConfiguration, BenchLost, ExitCode, InUse, LeaseLost, OutcomeUnknown
from hil.leases import BoardLock, Clock
from hil.programmer.programmer import Programmer
from hil.targets.board import BoardTarget, bench_target
from hil.targets.cuttable import CuttableChannel, CuttableLine
from hil.targets.port import PortTarget, open_port
from hil.targets.schemes import SCHEMES, Scheme
from hil.wire_log import WireEntry, line_of
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.bench_of_test import TestBench
    from hil.capabilities import TargetCapability
    from hil.channel import Channel
    from hil.targets.choices import PumpChoice
    from hil.targets.target import Target


class Hands:
    """A clock whose hands a test moves; waiting moves them too, and does what is due then."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0
        self.due: list[object] = []
        self.clock = Clock(lambda: self.now_s, lambda: self.now_s, self.wait)

    def wait(self, duration_s: float) -> None:
        self.now_s += duration_s
        while self.due:
            self.due.pop()()  # type: ignore[operator]


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def lock(tmp_path: Path, hands: Hands) -> BoardLock:
    return BoardLock(tmp_path / "leases", "usb:0403:6001:A1", hands.clock)


def test_a_second_user_is_told_who_holds_the_board_for_what_and_since_when(
    lock: BoardLock, hands: Hands
) -> None:
    lease = lock.take("the night run", 600)
    hands.now_s += 130
    with pytest.raises(
        InUse, match=rf"A1 is held by .*@.* for 2 min: the night run \(process {os.getpid()}\)"
    ) as caught:
        lock.take("me too", 600)
    assert caught.value.exit_code is ExitCode.TAKEN
    lease.give_back()
    lease.give_back()
    assert lock.holder() is None
    lock.take("me too", 600).give_back()


def test_one_who_waits_is_told_once_for_whom_and_gets_the_board_when_it_is_free(
    lock: BoardLock, hands: Hands
) -> None:
    lease = lock.take("the night run", 600)
    told: list[str] = []
    hands.due = [lease.give_back]
    mine = lock.take("me too", 600, wait_s=5, tell=told.append)
    assert len(told) == 1
    assert "the night run" in told[0]
    with pytest.raises(InUse, match="me too"):
        lock.take("a third", 600, wait_s=5, tell=told.append)
    mine.give_back()


def test_a_revoked_lease_is_lost_at_the_next_look_and_says_by_whom_and_why(
    lock: BoardLock, hands: Hands
) -> None:
    lease = lock.take("the night run", 600)
    assert lease.look() is None
    hands.due = [lease.look]
    assert lock.revoke("alice@lab", "I need the\nboard")
    lost = lease.look()
    assert isinstance(lost, LeaseLost)
    assert lost.exit_code is ExitCode.TAKEN
    assert r"the lease on usb:0403:6001:A1 was lost: alice@lab took it away: I need the\nboard" in str(lost)
    again = lock.take("me too", 600)
    of_before = {"token": lease.holder.token, "by": "alice@lab", "why": "came late"}
    lock.path.with_suffix(".revoked").write_text(json.dumps(of_before))
    assert again.look() is None  # that was the lease before
    again.give_back()


def test_a_holder_that_does_not_let_go_is_not_said_to_have_let_go(lock: BoardLock) -> None:
    lease = lock.take("stopped", 600)
    assert not lock.revoke("alice@lab", "it hangs")
    lease.give_back()


def test_a_lease_that_is_not_used_for_its_limit_ends_and_one_that_is_used_does_not(
    lock: BoardLock, hands: Hands
) -> None:
    lease = lock.take("the night run", 600)
    for _ in range(5):
        hands.now_s += 599
        lease.use()
        assert lease.look() is None
        assert lock.used_s() == hands.now_s  # for others to see
    hands.now_s += 601
    assert re.search("it was not used for 601 s", str(lease.look()))
    lock.take("me too", 600).give_back()


def test_an_expired_lease_of_a_process_that_looks_no_more_names_that_process(
    lock: BoardLock, hands: Hands
) -> None:
    lease = lock.take("stopped", 600)
    os.utime(lock.path, (hands.now_s, hands.now_s))
    hands.now_s += 601
    with pytest.raises(
        InUse, match=rf"stopped \(process {os.getpid()}\); its lease has expired, and that process"
    ):
        lock.take("me too", 600)
    hands.due = [lease.look]
    lock.take("me too", 600).give_back()


def test_a_lock_that_somebody_removed_is_lost_and_not_shared(lock: BoardLock) -> None:
    lease = lock.take("the night run", 600)
    lock.path.unlink()
    other = lock.take("me too", 600)
    assert "was removed" in str(lease.look())
    assert lock.holder() == other.holder
    other.give_back()


def test_a_killed_holder_leaves_nothing_behind(lock: BoardLock) -> None:
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        lock.take("to be killed", 600)
        os.write(told, b"!")
        signal.pause()
    assert os.read(ready, 1)
    held_by = lock.holder()
    assert held_by is not None
    assert held_by.pid == child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lock.holder() is None
    lock.take("the next", 600).give_back()


def test_where_there_can_be_no_lock_it_is_said_how_to_name_another_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        BadConfiguration, match=r"there can be no lock on board: .*`leases` in the bench file"
    ):
        BoardLock(tmp_path / "file", "board").take("me", 600)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[BenchTarget]:
    """A pump behind a PTY, as a bench file names it."""
    bench = ThreadBench(seed=1)
    yield BenchTarget(
        "rig1", tmp_path / "pumpbench.toml", str(bench.ready["port"]), leases=tmp_path / "leases"
    )
    bench.close()


def changed(board: BenchTarget, **fields: object) -> BoardTarget:
    return bench_target("bench:rig1", replace(board, **fields))  # type: ignore[arg-type]


def test_a_run_that_loses_its_lease_sends_nothing_more_and_its_port_is_free_at_once(
    board: BenchTarget,
) -> None:
    first, second = changed(board), changed(board)
    first.start()
    with pytest.raises(InUse, match="is held by"):
        second.start()
    channel = first.open_channel()
    pump = Programmer(channel)
    pump.connect()
    assert first.lock.revoke("alice@lab", "I need it")
    began_ms = channel.now_ms()
    sent_bytes = channel.sent_bytes
    with pytest.raises(LeaseLost, match="alice@lab took it away: I need it"):
        channel.receive(began_ms + int(PATIENCE_S * 1_000))
    with pytest.raises(LeaseLost):
        pump.ping()
    assert channel.sent_bytes == sent_bytes
    second.start()  # the first has closed nothing yet
    with Programmer(second.open_channel()) as other:
        other.ping()
    with pytest.raises(LeaseLost):
        first.open_channel()
    for target in (first, second, first):
        target.close()


def test_one_who_waits_for_an_answer_is_woken_when_the_lease_is_lost(board: BenchTarget) -> None:
    target = changed(board)
    target.start()
    with closing(target):
        channel = target.open_channel()
        with ThreadPoolExecutor(1) as beside:
            revoked = beside.submit(target.lock.revoke, "alice@lab", "now")
            with pytest.raises(LeaseLost):
                channel.receive(channel.now_ms() + int(PATIENCE_S * 1_000))
            assert revoked.result()


def test_a_bolus_in_flight_when_the_lease_is_lost_is_unknown_and_never_said_to_be_undone(
    board: BenchTarget,
) -> None:
    target = changed(board)
    target.start()
    with closing(target):
        channel = target.open_channel()
        pump = Programmer(channel)
        pump.connect()
        prepared = pump.prepare_bolus(50_000, 600)

        def cut_behind_the_command(entry: WireEntry) -> None:
            if re.search("--> .*BOLUS_COMMIT", line_of(entry)):
                assert isinstance(channel, CuttableLine)
                channel.cut(LeaseLost("the lease was lost"))

        pump.wire_log.watch = cut_behind_the_command
        with pytest.raises(OutcomeUnknown, match="the lease was lost"):
            pump.commit_bolus(prepared)


def test_a_board_under_another_kind_of_address_is_the_same_board(board: BenchTarget) -> None:
    assert changed(board, address=f"pty:{board.address}").board() == changed(board).board() == board.address


class KindOfALab:
    """A target of a lab's own package, which has to be started before its line can be opened."""

    capabilities: frozenset[TargetCapability] = frozenset()
    address = "lab:1"

    def __init__(self, port: str) -> None:
        self._inner = PortTarget(port, lambda: open_port(port, port))
        self.told: list[str] = []

    def start(self) -> None:
        self.told.append("started")

    def open_channel(self) -> Channel:
        assert self.told == ["started"]
        return self._inner.open_channel()

    def close(self) -> None:
        self.told.append("closed")


def test_a_target_of_another_kind_is_started_and_closed_with_its_lease(
    board: BenchTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[KindOfALab] = []

    def make(_text: str, place: str, _choice: PumpChoice) -> Target:
        made.append(KindOfALab(place))
        return cast("Target", made[-1])

    monkeypatch.setitem(SCHEMES, "lab", Scheme("lab", "lab:PORT", lambda _text, _place: None, make))
    target = changed(board, address=f"lab:{board.address}")
    with closing(target):
        target.start()
        with Programmer(target.open_channel()) as pump:
            pump.ping()
    assert made[0].told == ["started", "closed"]


def test_hooks_are_run_around_the_lease_in_the_directory_of_the_bench_file(board: BenchTarget) -> None:
    target = changed(board, before=("sh", "-c", "echo on >>power"), after=("sh", "-c", "echo off >>power"))
    with closing(target):
        target.start()
        assert (board.directory / "power").read_text() == "on\n"
    assert (board.directory / "power").read_text() == "on\noff\n"
    target.close()
    assert (board.directory / "power").read_text() == "on\noff\n"


@pytest.mark.parametrize(
    ("hook", "error", "said"),
    [
        (
            ("sh", "-c", "echo no relay >&2; exit 3"),
            BenchLost,
            "the hook .* bench:rig1 ended with 3: no relay",
        ),
        (("no-such-program",), BadConfiguration, "the hook .* bench:rig1 cannot be run"),
    ],
)
def test_a_hook_that_fails_says_so_and_leaves_no_lease(
    hook: tuple[str, ...], error: type[Exception], said: str, board: BenchTarget
) -> None:
    target = changed(board, before=hook)
    with pytest.raises(error, match=said):
        target.start()
    assert target.lock.holder() is None
    target = changed(board, after=hook)
    target.start()
    with pytest.raises(error, match=said):
        target.close()
    assert target.lock.holder() is None


def test_a_line_that_cannot_be_cut_itself_is_cut_between_short_waits(bench: TestBench) -> None:
    line = CuttableChannel(bench.channel)
    pump = Programmer(line)
    pump.connect()
    assert line.moved_bytes > line.sent_bytes > 0
    began_ms = line.now_ms()
    line.cut(LeaseLost("the lease was lost"))
    for call in (lambda: line.send(b"x"), lambda: line.receive(began_ms + 60_000)):
        with pytest.raises(LeaseLost):
            call()
    assert line.now_ms() == began_ms


def test_a_line_that_is_cut_while_somebody_waits_ends_that_wait(bench: TestBench) -> None:
    began_ms = bench.channel.now_ms()
    waits = 0

    class Watched(CuttableChannel):
        """The line inside, which is cut in its third wait."""

        def receive(self, deadline_ms: int) -> bytes:
            nonlocal waits
            waits += 1
            if waits == 3:
                line.cut(LeaseLost("the lease was lost"))
            return super().receive(deadline_ms)

    line = CuttableChannel(Watched(bench.channel))
    with pytest.raises(LeaseLost):
        line.receive(began_ms + 60_000)
    assert line.now_ms() - began_ms <= 300
