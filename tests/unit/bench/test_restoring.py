"""A bench goes back to a snapshot: the pump goes on as it did, and to whoever is on the line it has lost its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.errors import NotNowError
from firmware_emu.bench.image_file import ImageFile
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import PumpHost, new_pump, restored_pump
from firmware_emu.bench.rig import actions
from firmware_emu.bench.snapshot import Snapshot
from firmware_emu.bench.snapshot_shelf import KEPT_MAX, KeptSnapshot
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.events import SnapshotRestored
from firmware_emu.now import Now
from firmware_emu.state_document import to_document
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import Conversation, Counting
from protocol.identifiers import Activity
from protocol.link.client_end import ClientEnd
from protocol.link.connection import Direction
from protocol.messages.reading import GetInfo, GetStatus
from protocol.wire.frame import Frame
from tests.support.for_each import for_each
from tests.unit.controller.test_commands_in_each_state import STATES, in_state

if TYPE_CHECKING:
    from pathlib import Path

    from firmware_emu.pump import Pump

MEMORY_ID = 0x1234_5678_9ABC_DEF0


def on_a_bench(name: str) -> tuple[VirtualBench, Conversation]:
    """A bench with a pump in that state, and the client who is talking to it."""
    talk = in_state(name).fork()
    bench = VirtualBench(talk.pump)
    return bench, talk


@for_each("name", list(STATES), one_in=4)
def test_in_each_state_a_restored_pump_is_the_kept_one_without_its_client(name: str) -> None:
    bench, _talk = on_a_bench(name)
    expected = bench.host.pump.fork()
    actions.keep_snapshot(bench, "before")
    bench.advance(MS_PER_DAY)
    assert actions.restore_snapshot(bench, "before", MEMORY_ID) == (expected.now_ms, MEMORY_ID)
    expected.begin_anew_for_clients(MEMORY_ID)
    steps = [expected.step(Now.both(expected.now_ms))]
    assert to_document(bench.host.pump) == to_document(expected)
    mark = actions.trace_mark(bench)
    bench.advance(3 * MS_PER_DAY)
    steps.append(expected.step(Now.both(expected.now_ms + 3 * MS_PER_DAY)))
    assert to_document(bench.host.pump) == to_document(expected)
    assert actions.trace(bench, mark).entries[-1].now == steps[-1].trace[-1].now


def test_a_bolus_goes_on_and_the_session_is_over() -> None:
    bench, talk = on_a_bench("bolus")
    left_nl = bench.host.pump.truth().true_nl_ppm
    actions.keep_snapshot(bench, "before")
    bench.advance(MS_PER_HOUR)
    assert bench.host.pump.truth().true_nl_ppm != left_nl
    actions.restore_snapshot(bench, "before")
    talk.pump = bench.host.pump
    assert talk.pump.truth().true_nl_ppm == left_nl
    assert talk.pump.controller is not None
    assert talk.pump.controller.link.session is None
    after = Conversation(talk.pump)
    assert after.granted(GetStatus()).activity & Activity.BOLUS


def test_what_a_client_had_under_way_is_not_gone_on_with() -> None:
    """A request of the old session, half a frame, and the proof of a handshake begun before: none is answered."""
    bench, talk = on_a_bench("bolus")
    talk.granted(GetStatus())
    hello = ClientEnd(key=talk.key, entropy=Counting(), secured=True)
    hello.open(bench.now_ms)
    offer = bench.feed(hello.take_output())
    assert offer, "the pump offered no handshake"
    actions.keep_snapshot(bench, "half-open")
    hello.feed(offer, bench.now_ms)
    while hello.next_event(bench.now_ms) is not None:
        pass
    proof = hello.take_output()
    assert bench.fork().feed(proof), "the pump itself goes on with the handshake"
    actions.restore_snapshot(bench, "half-open")
    assert bench.feed(proof) == b""
    assert bench.host.pump.controller is not None
    assert bench.host.pump.controller.link.session is None


def sealed_of(bench: VirtualBench) -> tuple[set[tuple[int, int]], bytes]:
    """What a client hears in a session that it opens as another did before: counters and session; the sealed bytes."""
    talk = Conversation(bench.host.pump)
    talk.client.observing = True
    talk.granted(GetStatus())
    frames = [each for each in talk.client.take_frames() if each.direction is Direction.RECEIVED]
    told = [each.frame for each in frames if isinstance(each.frame, Frame)]
    return {(each.sid, each.ctr) for each in told}, b"".join(each.raw for each in told)


def test_two_futures_of_one_snapshot_never_answer_under_one_nonce() -> None:
    """Whoever sends again what was sent to the first future is offered other numbers by the second one."""
    bench, _talk = on_a_bench("bolus")
    actions.keep_snapshot(bench, "before")
    hello = ClientEnd(key=_talk.key, entropy=Counting(), secured=True)
    hello.open(bench.now_ms)
    greeting = hello.take_output()
    futures = []
    for _ in range(3):
        actions.restore_snapshot(bench, "before")
        futures.append(bench.fork())
    offers = {future.feed(greeting) for future in futures}
    assert len(offers) == len(futures)
    futures += [later(future) for future in futures]  # nor after a restart
    assert len({sealed_of(future)[1] for future in futures}) == len(futures)


def later(future: VirtualBench) -> VirtualBench:
    """The same bench after a restart of its pump."""
    other = future.fork()
    actions.cut_power(other)
    actions.restore_power(other)
    return other


def test_a_client_finds_a_memory_of_another_name_each_time() -> None:
    bench, _talk = on_a_bench("bolus")
    names = {Conversation(bench.host.pump.fork()).granted(GetInfo()).memory_id}
    actions.keep_snapshot(bench, "before")
    for _ in range(3):
        told = actions.restore_snapshot(bench, "before").memory_id
        assert Conversation(bench.host.pump.fork()).granted(GetInfo()).memory_id == told
        names.add(told)
    assert len(names) == 4
    actions.cut_power(bench)
    actions.keep_snapshot(bench, "off")
    found = actions.restore_snapshot(bench, "off").memory_id
    actions.restore_power(bench)
    assert Conversation(bench.host.pump).granted(GetInfo()).memory_id == found


def test_whoever_reads_the_trace_is_told_and_its_marks_go_on() -> None:
    bench, _talk = on_a_bench("bolus")
    actions.keep_snapshot(bench, "before")
    kept_ms, kept_hash = bench.now_ms, bench.trace_hash
    bench.advance(MS_PER_DAY)
    mark = actions.trace_mark(bench)
    actions.restore_snapshot(bench, "before", MEMORY_ID)
    told = actions.trace(bench, mark).entries
    assert told[0] == (
        Now.both(kept_ms),
        SnapshotRestored("before", kept_ms + MS_PER_DAY, MEMORY_ID.to_bytes(8, "big")),
    )
    once = bench.trace_hash
    actions.restore_snapshot(bench, "before", MEMORY_ID)
    assert bench.trace_hash == once, "the hash is of the pump's life, not of how often a bench went back"
    assert once != kept_hash, "the session that was closed is in it"


def test_an_image_is_what_the_restored_pump_says(tmp_path: Path) -> None:
    """A plug that is pulled right after boots into the restored pump, whatever the file said before."""
    profile, path = load_profile("implanted"), tmp_path / "image"
    image = ImageFile(path, profile)
    image.begin(7)
    host = PumpHost(new_pump(profile, 7), image)
    host.step(Now.both(MS_PER_HOUR))
    kept = KeptSnapshot("hour", Snapshot.of(host))
    host.step(Now.both(20 * MS_PER_DAY))
    host.go_on_from(kept, MEMORY_ID)
    found = host.pump.truth()
    image.close()
    again = ImageFile(path, profile)
    remembered = again.remembered
    assert remembered is not None
    assert (remembered.now_ms, again.dropped_bytes) == (MS_PER_HOUR, 0)
    pump = restored_pump(profile, remembered, 0)
    assert pump.truth().true_nl_ppm == found.true_nl_ppm
    assert Conversation(pump).granted(GetInfo()).memory_id == MEMORY_ID
    again.close()


def test_an_image_that_cannot_be_written_anew_leaves_everything_as_it_is(tmp_path: Path) -> None:
    profile, path = load_profile("implanted"), tmp_path / "image"
    image = ImageFile(path, profile)
    image.begin(7)
    host = PumpHost(new_pump(profile, 7), image)
    kept = KeptSnapshot("first", Snapshot.of(host))
    host.step(Now.both(MS_PER_HOUR))
    (tmp_path / "second name").hardlink_to(path)
    pump, before = host.pump, path.read_bytes()
    with pytest.raises(NotNowError, match="second name; nothing was changed"):
        host.go_on_from(kept, MEMORY_ID)
    assert host.pump is pump
    assert path.read_bytes() == before
    image.close()


def test_a_snapshot_of_another_profile_is_refused() -> None:
    other = VirtualBench(new_pump(load_profile("forty_millilitre"), 1))
    bench = VirtualBench(new_pump(load_profile("implanted"), 1))
    bench.snapshots.put(actions.keep_snapshot(other, "other"))
    before: Pump = bench.host.pump
    with pytest.raises(NotNowError, match="is of another pump, profile 40 mL"):
        actions.restore_snapshot(bench, "other")
    assert bench.host.pump is before


def test_a_bench_keeps_a_bounded_number_by_names_that_are_names() -> None:
    bench = VirtualBench(new_pump(load_profile("implanted"), 1))
    for number in range(KEPT_MAX):
        actions.keep_snapshot(bench, f"n{number}")
    for name, sentence in (
        ("one more", "is no name of a snapshot"),
        ("../x", "is no name of a snapshot"),
        ("more", f"a bench keeps {KEPT_MAX} snapshots"),
    ):
        with pytest.raises(NotNowError, match=sentence):
            actions.keep_snapshot(bench, name)
    actions.keep_snapshot(bench, "n3")
    bench.snapshots.forget("n4")
    assert [kept.name for kept in bench.snapshots.every][-1] == "n3"
    for act in (bench.snapshots.forget, bench.snapshots.named):
        with pytest.raises(NotNowError, match=r"there is no snapshot 'n4'; there are: n0, n1"):
            act("n4")
