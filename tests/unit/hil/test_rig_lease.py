"""The rig's client has the bench to itself: a lease taken, sent, renewed, released, ended for one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hil.errors import BenchLost, InUse
from hil.rig_client import LEASE_S, RigClient
from hil.targets.process import ProcessTarget
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = {"who": None, "left_ms": None}
STALL_AND_DIE = """
import os, signal, sys
from hil.rig_client import RigClient
rig = RigClient(sys.argv[1], sys.argv[2], who=f"pumpbench hil {os.getpid()}", lease_s=2)
rig.stall(on=True)
print(os.getpid(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator("--control", "127.0.0.1:0", "--time", "manual")
    yield emulator
    emulator.kill()


def client(emulator: Emulator, who: str | None = "rig A", lease_s: int = LEASE_S) -> RigClient:
    return RigClient(emulator.ready["control"], emulator.ready["token"], PATIENCE_S, who=who, lease_s=lease_s)


def is_stalled(emulator: Emulator) -> bool:
    return bool(emulator.rig("GET", "/v1/state")["truth"]["stalled"])


def wait_until(so: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < give_up_at_s


def test_a_target_of_ours_has_its_rig_to_itself_from_its_first_request_until_it_is_closed() -> None:
    with closing(ProcessTarget()) as target:
        target.start()
        with closing(RigClient(target.ready["control"], target.ready["token"])) as other:
            assert other.advance(1) == 1, "nobody has it before the rig is used"
            target.rig.stall(on=True)
            holder = rf"pumpbench hil {os.getpid()} has this bench to itself for another 86[34]\d\d\.\d s"
            with pytest.raises(InUse, match=holder) as caught:
                other.stall(on=False)
            assert caught.value.exit_code == 11
            assert other.state().truth["stalled"], "looking is for everybody"
            target.rig.close()
            other.stall(on=False)


def test_two_clients_with_names_cannot_have_one_bench_and_the_second_may_have_it_after_the_first(
    emulator: Emulator,
) -> None:
    with closing(client(emulator)) as first, closing(client(emulator, "rig B")) as second:
        first.stall(on=True)
        with pytest.raises(InUse, match="rig A has this bench to itself"):
            second.clock()
        first.close()
        assert emulator.rig("GET", "/v1/lease") == NOBODY
        assert is_stalled(emulator), "a lease that was released clears nothing"
        second.stall(on=False)
        assert emulator.rig("GET", "/v1/lease")["who"] == "rig B"


def test_a_lease_is_renewed_by_a_request_when_half_of_its_time_is_over(emulator: Emulator) -> None:
    with closing(client(emulator, lease_s=4)) as rig:
        rig.stall(on=True)
        left_ms = emulator.rig("GET", "/v1/lease")["left_ms"]

        def was_renewed() -> bool:
            nonlocal left_ms
            rig.clock()
            before, left_ms = left_ms, emulator.rig("GET", "/v1/lease")["left_ms"]
            return bool(left_ms > before)

        wait_until(was_renewed)
        assert left_ms > 3_000
        rig.advance(1)
        assert is_stalled(emulator)


def test_what_a_run_that_was_killed_had_injected_is_cleared_by_the_emulator(emulator: Emulator) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", STALL_AND_DIE, emulator.ready["control"], emulator.ready["token"]],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with closing(client(emulator, None)) as other:
        lease = emulator.rig("GET", "/v1/lease")
        if lease != NOBODY:  # unless two seconds have passed by now
            assert lease["who"] == f"pumpbench hil {int(killed.stdout)}"
        wait_until(lambda: emulator.rig("GET", "/v1/lease") == NOBODY)
        assert not other.state().truth["stalled"]
        other.advance(1)


def test_a_client_that_was_silent_for_too_long_is_told_that_its_bench_is_lost_and_takes_no_new_lease(
    emulator: Emulator,
) -> None:
    with closing(client(emulator, lease_s=2)) as rig:
        rig.stall(on=True)
        wait_until(lambda: emulator.rig("GET", "/v1/lease") == NOBODY)
        for _ in range(2):
            with pytest.raises(
                BenchLost, match=r"this lease has ended, and what was injected .* was cleared"
            ) as caught:
                rig.advance(1)
            assert caught.value.exit_code == 7
            assert "\n" not in str(caught.value)
    assert emulator.rig("GET", "/v1/lease") == NOBODY


def test_closing_does_not_wait_long_for_an_emulator_that_hangs(emulator: Emulator) -> None:
    rig = client(emulator)
    rig.advance(1)
    emulator.process.send_signal(signal.SIGSTOP)
    began_s = time.monotonic()
    rig.close()
    assert time.monotonic() - began_s < PATIENCE_S, "the limit of its other requests"


def test_closing_after_the_emulator_has_gone_or_was_shut_down_says_nothing(emulator: Emulator) -> None:
    with closing(client(emulator)) as rig:
        rig.advance(1)
        emulator.kill()
    with closing(ProcessTarget()) as target:
        target.start()
        target.rig.shutdown()
        target.rig.close()
