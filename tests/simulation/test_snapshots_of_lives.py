"""Lives at random, cut at random events and gone on with from a snapshot: to the bit what the pump would have done.

In process with the client kept too, so that its session goes on; over rig control; and in another process, from a file.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.clock import MANUAL, Clock
from firmware_emu.bench.pump_host import PumpHost
from firmware_emu.bench.rig import actions
from firmware_emu.bench.snapshot import Snapshot, read_snapshot
from firmware_emu.bench.snapshot_shelf import KeptSnapshot
from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.state_document import to_document
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.life import Life
from hil.rig_client import RigClient
from protocol.link.client_end import Phase
from tests.support.patience import PATIENCE_S
from tests.support.sometimes import reaches, sometimes
from tests.support.warm_python import WARM_PYTHON
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from firmware_emu.bench.runner import Runner
    from firmware_emu.pump import Pump

LIVES = 200
SEEDS = range(7_000, 7_000 + LIVES)
A_PROCESS = 5
"""Lives that one process goes on with."""
AFTER_MS = 2 * MS_PER_HOUR  # a pump whose supply is shorted starts a thousand times in it
DEEDS = 12
DEEDS_AFTER = 5
EVENTS = 6
MEMORY_ID = 0x0123_4567_89AB_CDEF
GOES_ON = """
import json, sys
from pathlib import Path
from firmware_emu.bench.snapshot import read_snapshot
from firmware_emu.plant.rotor import Rotor
from firmware_emu.state_document import to_document
for name in sys.argv[1:]:
    pump = read_snapshot(json.loads(Path(name).read_text())).pump
    pump.step(pump.now.later(7_200_000))
    print(json.dumps(to_document(pump)))
"""


def cut_life(seed: int) -> Life:
    """A life of some deeds, cut at one of the events that come next, in its middle or at its end."""
    draw = Random(f"cut {seed}")
    life = Life(seed).live(draw.randrange(1, DEEDS))
    if draw.random() < 0.5:
        life.tried(life.short_bolus)
    life.look()
    if draw.random() < 0.5:
        life.tried(life.status)
    life.look()
    pump = life.talk.pump
    life.properties.leave_rotor()
    for _ in range(draw.randrange(EVENTS)):
        wake_at_ms = life.talk.wait(0).wake_at_ms
        if wake_at_ms is None or wake_at_ms > pump.now_ms + MS_PER_HOUR:
            break
        life.talk.wait_until(wake_at_ms)
        life.look()
    belief = pump.belief()
    sometimes("a life cut in a bolus", belief is not None and belief.bolus_cmd_id != 0)
    sometimes("a life cut in a session", life.talk.client.phase is Phase.OPEN)
    return life


def with_pump(life: Life, pump: Pump) -> Life:
    """The same life, its people and their sessions too, around this pump."""
    other = copy.deepcopy(life, {id(life.talk.pump): pump})
    other.properties.guard_rotor()
    return other


def carried(document: object) -> Any:
    return json.loads(json.dumps(document))


def snapshot_of(life: Life) -> Snapshot:
    return Snapshot.of(PumpHost(life.talk.pump, hashing=False))


@reaches("a life cut in a bolus", "a life cut in a session")
def test_lives_are_cut_in_boluses_and_in_sessions() -> None:
    for seed in SEEDS[:5]:
        cut_life(seed)


@pytest.mark.one_in(40)
@pytest.mark.parametrize("seed", SEEDS)
def test_in_process_a_life_goes_on_with_its_client_as_it_would_have(seed: int) -> None:
    life = cut_life(seed)
    document = carried(snapshot_of(life).document())
    others = [life.fork(), with_pump(life, read_snapshot(document).pump)]
    life.properties.guard_rotor()
    seen = len(life.talk.trace)
    for each in (life, *others):
        each.live(DEEDS_AFTER)
        each.talk.wait(AFTER_MS)
    for other in others:
        assert other.talk.replies == life.talk.replies
        assert trace_bytes(other.talk.trace[seen:]) == trace_bytes(life.talk.trace[seen:])
        assert to_document(other.talk.pump) == to_document(life.talk.pump)


@pytest.fixture(scope="module")
def bench() -> Iterator[ThreadBench]:
    bench = ThreadBench(seed=1)
    yield bench
    bench.close()


def put_behind(bench: ThreadBench, pump: Pump) -> None:
    """A pump of that profile behind the bench: only to one of the same is gone back."""

    def job(runner: Runner, future: Future[None]) -> None:
        runner.host, runner.clock = PumpHost(pump), Clock(pump.now_ms, MANUAL)
        future.set_result(None)

    bench._command_queue.leave(job).result(PATIENCE_S)


@pytest.mark.one_in(40)
@pytest.mark.parametrize("seed", SEEDS)
def test_over_rig_control_a_life_goes_on_as_it_does_in_process(seed: int, bench: ThreadBench) -> None:
    life = cut_life(seed)
    snapshot = snapshot_of(life)
    put_behind(bench, life.talk.pump.fork())
    rig = RigClient(str(bench.ready["control"]), str(bench.ready["token"]))
    rig.put_snapshot("cut", carried(snapshot.document("cut")))
    rig.restore("cut", MEMORY_ID)
    here = VirtualBench(life.talk.pump.fork())
    here.snapshots.put(KeptSnapshot("cut", snapshot))
    actions.restore_snapshot(here, "cut", MEMORY_ID)
    for ms in (1, AFTER_MS):
        rig.advance(ms)
        here.advance(ms)
    rig.snapshot("later")
    expected = actions.keep_snapshot(here, "later").snapshot.document("later")
    assert rig.read_snapshot("later") == carried(expected)
    rig.close()


@pytest.mark.one_in(40)
@pytest.mark.parametrize("first", SEEDS[::A_PROCESS])
def test_another_process_goes_on_from_the_file(first: int, tmp_path: Path) -> None:
    (tmp_path / "goes_on.py").write_text(GOES_ON)
    files: list[Path] = []
    expected = []
    for seed in range(first, first + A_PROCESS):
        life = cut_life(seed)
        files.append(tmp_path / f"{seed}.json")
        files[-1].write_text(snapshot_of(life).text())
        pump = life.talk.pump.fork()
        pump.every_stroke = False
        pump.step(pump.now.later(AFTER_MS))
        expected.append(carried(to_document(pump)))
    done = WARM_PYTHON.run("goes_on", *map(str, files), cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
