"""How late a replay is: an hour of recorded messages at their own times, both ways over a port; part of `make soak`.

Ends with 1 where fewer than 99 of 100 messages passed within 5 ms of the recorded time. It wants a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from hil.address import parse
from hil.capture.messages import RecordedMessage, read_messages
from hil.capture.run_recording import RunRecording
from hil.outcome_store import OutcomeStore
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from hil.replay.at_target import player_at
from hil.replay.conversation import read_conversation
from hil.replay.timing import ORIGINAL
from hil.targets import make_target
from hil.targets.choices import PumpChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 1
MINUTES = 60.0
PAUSE_MS = (50, 950)
WITHIN_MS = 5
WANTED_PERCENT = 99
MS_PER_MINUTE, NS_PER_MS = 60_000, 1_000_000


def record(path: Path, minutes: float) -> None:
    """An emulated pump that is asked for its status at random times, in virtual time."""
    random = Random(SEED)  # noqa: S311 - the same in each run
    target = make_target(parse("emulator"), PumpChoice(seed=SEED))
    target.start()
    recording = RunRecording(path, {"target": "emulator"}, virtual=True, secrets=True)
    channel = recording.recorded(target.open_channel())
    programmer = Programmer(channel, store=OutcomeStore(), entropy=SeededEntropy(SEED))
    with closing(target), closing(recording), programmer:
        while channel.now_ms() < minutes * MS_PER_MINUTE:
            programmer.status()
            programmer.session.wait(random.randint(*PAUSE_MS))


@contextmanager
def device(path: Path) -> Iterator[str]:
    """The address of a replay of this recording, in a process of its own."""
    command = [sys.executable, "-m", "hil.cli", "replay", str(path), "--as", "device", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["target"])
        finally:
            process.terminate()
            process.communicate()


def times_ns(entries: list[RecordedMessage]) -> list[int]:
    """When each message passed, since the first of them."""
    times = [
        each.passed.time_ns for each in entries if each.frame is not None and each.passed.time_ns is not None
    ]
    return [each - times[0] for each in times]


def lateness_ms(path: Path) -> list[float]:
    """Of each message that is played, how far it is from its recorded time.

    Both times begin where half of the messages come before and half behind: were it the first message, then its own
    delay, in which Python still imports, would be that of all others. What drifts is late all the same.
    """
    with ExitStack() as stack:
        target = stack.enter_context(closing(make_target(parse(stack.enter_context(device(path))))))
        target.start()
        player = player_at(
            target,
            stack.enter_context(closing(target.open_channel())),
            read_conversation(path),
            timing=ORIGINAL,
            lives_on=False,
            closing=stack,
        )
        heard = times_ns(list(player.messages()))
    recorded = times_ns([each for each in read_messages(path) if isinstance(each, RecordedMessage)])
    behind = [now - then for now, then in zip(heard, recorded, strict=True)]
    usual = statistics.median(behind)
    return sorted(abs(each - usual) / NS_PER_MS for each in behind)


def main() -> int:
    """Record, play, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "hour.pcapng"
        record(path, minutes)
        late = lateness_ms(path)
    percent = 100 * sum(each <= WITHIN_MS for each in late) / len(late)
    print(
        f"{len(late)} messages in {minutes:g} min: {percent:.2f} % within {WITHIN_MS} ms of the recorded time, "
        f"half of them within {late[len(late) // 2]:.2f} ms, the last {late[-1]:.1f} ms off"
    )
    return 0 if percent >= WANTED_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
