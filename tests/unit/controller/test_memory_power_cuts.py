"""Power goes at every byte of every write: after it the memory holds the old state or the new one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_emu.controller.memory.memory import Memory
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.pins import PowerCut
from firmware_emu.plant.fault_records import CutAtWrite
from firmware_emu.plant.flash import Flash
from protocol.log.types import LogName

LOG_CAPACITY = 40
View = tuple[bytes | None, ...]


def boot(flash: Flash) -> Memory:
    memory = Memory(flash, LOG_CAPACITY)
    report = memory.recover()
    assert report.corrupt == ()
    assert not report.checkpoint_lost
    return memory


def view(memory: Memory) -> View:
    """All that a controller could read."""
    records = [memory.read_record(region) for region in Region]
    logs = [memory.read_log(log, 0, memory.log_slots(log)) for log in LogName]
    return (*records, *logs, memory.read_checkpoint())


def stage_format(memory: Memory) -> None:
    memory.format()
    memory.stage(Region.IDENTITY, b"id")
    memory.stage(Region.THERAPY, b"stopped")
    memory.stage_checkpoint(b"count 0")
    memory.stage_log(LogName.MAIN, 0, b"f" * 32)


def stage_command(memory: Memory) -> None:
    """A command as the pump commits it: three regions, two log slots, a checkpoint."""
    memory.stage(Region.THERAPY, b"running")
    memory.stage(Region.LEDGER, b"intent 7")
    memory.stage(Region.ALARMS, b"")
    memory.stage_log(LogName.MAIN, 1, b"a" * 32)
    memory.stage_log(LogName.SECURITY, 2, b"b" * 32)
    memory.stage_checkpoint(b"count 12")


def formatted_flash() -> Flash:
    flash = Flash()
    memory = boot(flash)
    stage_format(memory)
    memory.commit()
    for number in range(1, 4):
        memory.checkpoint(b"count %d" % number)
    flash.take_writes()
    return flash


def cuts(flash: Flash, act: Callable[[Flash], object]) -> Iterator[tuple[str, Flash]]:
    """Every flash that `act` can leave behind when power goes: before, in and after each byte written."""
    whole = copy.deepcopy(flash)
    whole.take_writes()
    act(whole)
    lengths = [len(data) for _, data in whole.take_writes()]
    for number, length in enumerate(lengths, start=1):
        for torn_after_bytes in range(length + 1):
            victim = copy.deepcopy(flash)
            victim.cut = CutAtWrite(number, torn_after_bytes)
            with pytest.raises(PowerCut):
                act(victim)
            yield f"write {number} of {len(lengths)}, torn after byte {torn_after_bytes}", victim


def commit_command(flash: Flash) -> None:
    memory = boot(flash)
    stage_command(memory)
    memory.commit()


def commit_format(flash: Flash) -> None:
    memory = boot(flash)
    stage_format(memory)
    memory.commit()


# FI 42
def test_a_cut_in_a_commit_leaves_the_old_state_or_the_new_one() -> None:
    flash = formatted_flash()
    old = view(boot(flash))
    done = copy.deepcopy(flash)
    commit_command(done)
    new = view(boot(done))
    assert old != new
    seen = []
    for where, victim in cuts(flash, commit_command):
        found = view(boot(victim))
        assert found in (old, new), where
        seen.append(found)
    # Once new it stays new: the journal is the only write that decides.
    assert seen == sorted(seen, key=lambda found: found == new)
    assert old in seen
    assert new in seen


def test_a_cut_in_a_checkpoint_leaves_the_one_before_or_the_new_one() -> None:
    flash = formatted_flash()
    for where, victim in cuts(flash, lambda flash: boot(flash).checkpoint(b"count 4")):
        memory = boot(victim)
        assert memory.read_checkpoint() in {b"count 3", b"count 4"}, where
        memory.checkpoint(b"count 5")
        assert boot(victim).read_checkpoint() == b"count 5", where


def test_a_cut_in_formatting_leaves_a_blank_memory_or_a_formatted_one() -> None:
    flash = Flash()
    done = copy.deepcopy(flash)
    commit_format(done)
    new = view(boot(done))
    outcomes = set()
    for where, victim in cuts(flash, commit_format):
        blank_before_recovery = Memory(victim, LOG_CAPACITY).is_blank()
        memory = boot(victim)
        assert memory.is_blank() == blank_before_recovery, where
        outcomes.add(memory.is_blank())
        if memory.is_blank():
            stage_format(memory)
            memory.commit()
        assert view(boot(victim)) == new, where
    assert outcomes == {True, False}


def test_a_cut_in_the_recovery_from_a_cut_changes_nothing() -> None:
    flash = formatted_flash()
    old = view(boot(flash))
    done = copy.deepcopy(flash)
    commit_command(done)
    new = view(boot(done))
    recoveries = 0
    for number, (where, victim) in enumerate(cuts(flash, commit_command)):
        if number % 11:
            continue
        expected = view(boot(copy.deepcopy(victim)))
        assert expected in (old, new)
        for again, (deeper, twice) in enumerate(cuts(victim, boot)):
            if again % 7 == 0:
                recoveries += 1
                assert view(boot(twice)) == expected, (where, deeper)
    assert recoveries > 100


def test_the_next_commit_after_a_cut_is_as_good_as_any() -> None:
    flash = formatted_flash()
    for where, victim in cuts(flash, commit_command):
        memory = boot(victim)
        memory.stage(Region.THERAPY, b"after the cut")
        memory.commit()
        assert boot(victim).read_record(Region.THERAPY) == b"after the cut", where


Action = tuple[str, int, bytes]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["commit", "checkpoint", "both"]),
        st.sampled_from(list(Region)),
        st.binary(max_size=9),
    ),
    min_size=1,
    max_size=12,
)


def act_on(memory: Memory, action: Action) -> None:
    kind, region, data = action
    if kind == "checkpoint":
        memory.checkpoint(data)
        return
    memory.stage(Region(region), data)
    if kind == "both":
        memory.stage_checkpoint(data)
        memory.stage_log(LogName.MAIN, len(data), data.ljust(32, b"."))
    memory.commit()


@settings(max_examples=150)
@given(
    actions=ACTIONS,
    random_cuts=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 90)), min_size=12, max_size=12),
)
def test_any_history_of_commits_checkpoints_and_cuts_reads_as_one_without_tearing(
    actions: list[Action], random_cuts: list[tuple[int, int]]
) -> None:
    flash = formatted_flash()
    for action, cut in zip(actions, random_cuts, strict=False):
        before = view(boot(flash))
        untouched = copy.deepcopy(flash)
        act_on(boot(untouched), action)
        after = view(boot(untouched))
        flash.cut = CutAtWrite(*cut)
        try:
            act_on(boot(flash), action)
        except PowerCut:
            assert view(boot(flash)) in (before, after)
        flash.cut = None
