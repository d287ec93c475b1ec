"""The target `replay:FILE`: a recorded session that answers as the device did, in this process and in virtual time.

It begins anew with each target, and has neither a rig nor a time that could be turned.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.programmer.entropy import SystemEntropy
from hil.replay.channel import ReplayChannel, ReplayLine
from hil.replay.conversation import read_conversation
from hil.replay.device import ReplayDevice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.capabilities import TargetCapability
    from hil.rig import Rig


class ReplayedTarget:
    """One recording as a device."""

    has_virtual_time = True
    capabilities: frozenset[TargetCapability] = frozenset()

    def __init__(self, address: str, path: Path) -> None:
        """`address` as the person wrote it."""
        self.address = address
        self._path = path
        self._line: ReplayLine | None = None
        self.tell_of_misses: Callable[[str], object] = lambda _sentence: None
        """Gets a sentence for each request that the recording does not have."""

    @property
    def device(self) -> ReplayDevice:
        """The device; UsageError before `start`."""
        return self._started().device

    @property
    def rig(self) -> Rig:
        """There is none."""
        raise UsageError(
            f"the target {self.address} has no rig: what is recorded has happened, and its time cannot be turned",
            advice="use emulator or emulator:process for that",
        )

    def launch(self) -> None:
        """Nothing to launch."""

    def dismiss(self) -> None:
        """Nothing to dismiss."""

    def start(self) -> None:
        """Read the recording and begin at its first request. BadConfiguration where there is none."""
        device = ReplayDevice(
            read_conversation(self._path),
            SystemEntropy(),
            tell=self._tell,
        )
        self._line = ReplayLine(device)

    def open_channel(self) -> ReplayChannel:
        """The line to the device, where the conversation stands."""
        return ReplayChannel(self._started())

    def watch_answers(self) -> Callable[[], str]:
        """Begin to look at what is asked; the function returned says why none of it is evidence of the recorded pump.

        It says "" where nothing was asked since, or all of it was answered as recorded or by rule. A session alone is
        opened by the replay itself, and so proves nothing of the pump.
        """
        device = self.device
        tally, before = device.tally, replace(device.tally, misses=list(device.tally.misses))
        fed_before = device.fed_bytes

        def why() -> str:
            if tally.missed > before.missed:
                said = tally.misses[len(before.misses) :] or ["more was asked than the recording has"]
                return re.split("[:;]", said[0])[0]
            silent = tally.recorded == before.recorded and device.fed_bytes > fed_before
            return "none of what was said is in the recording: the replay itself answered" if silent else ""

        return why

    def close(self) -> None:
        """Forget the device."""
        self._line = None

    def _tell(self, sentence: str) -> None:
        self.tell_of_misses(sentence)

    def _started(self) -> ReplayLine:
        if self._line is None:
            raise UsageError(
                f"the target {self.address} is not started", advice="call start() first, or use it in `with`"
            )
        return self._line
