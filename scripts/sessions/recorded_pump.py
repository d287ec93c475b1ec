"""A pump in this process, in virtual time, whose line is recorded at the pump as `emulate --record` records it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.bench.line_recording import LineRecording
from firmware_emu.bench.pump_host import PumpHost
from hil.noise import FaultyLine
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from protocol.capture.limits import SIZE_LIMIT_BYTES
from protocol.capture.line_time import VirtualTime
from protocol.identifiers import Role
from protocol.link.development_keys import development_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from firmware_emu.now import Now
    from hil.rig import Rig

MEMORY_ID: Final = 0x5E55_1045_0000_0000
"""Plus the seed: no two sessions are of one memory."""


class _RecordedHost(PumpHost):
    """A pump whose every step goes into a recording, as the loop of an emulator lets it."""

    recording: LineRecording

    def step(self, now: Now, received: bytes = b"") -> bytes:
        """One step, with what came before it and what went after it."""
        self.recording.received(received, now.pump_ms)
        sent = super().step(now, received)
        self.recording.stepped(self.last)
        self.recording.sent(sent)
        return sent


class RecordedPump:
    """A new pump, its rig and its line, recorded into a new file until the end of the `with`."""

    def __init__(
        self,
        path: Path,
        name: str,
        seed: int,
        *,
        model: Mapping[str, int | str | bool],
        implant: Mapping[str, int | str | bool],
    ) -> None:
        """`model` and `implant` are what differs from the profile `implanted`."""
        choice = PumpChoice(seed=seed, memory_id=MEMORY_ID + seed, model=model, implant=implant)
        self._target = EmulatedTarget(choice)
        self._target.start()
        self._entropy_of = f"{name} {seed}"
        self._sessions = 0
        bench = self._target.bench
        first = bench.host
        bench.host = host = _RecordedHost(first.pump)
        told = {
            "target": "emulator",
            "serial": host.pump.profile.model.serial,
            "memory_id": f"{MEMORY_ID + seed:016x}",
            "profile": choice.profile,
            "security": "secured",
            "seed": str(seed),
        }
        host.recording = self._recording = LineRecording(
            path,
            host,
            told,
            _fail,
            with_secrets=True,
            size_limit_bytes=SIZE_LIMIT_BYTES,
            recording_time=VirtualTime(lambda: host.pump.now_ms),
        )
        host.last = first.last
        self._recording.stepped(first.last)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._recording.close()
        self._target.close()

    @property
    def rig(self) -> Rig:
        """What the bench does to it."""
        return self._target.rig

    def line(self) -> FaultyLine:
        """A line to it that may lose and bend what passes."""
        return FaultyLine(self._target.open_channel())

    def programmer(self, role: Role = Role.CLINICIAN, line: FaultyLine | None = None) -> Programmer:
        """A programmer with the development key of a role, of the same nonces each time; to be used in `with`."""
        self._sessions += 1
        entropy = SeededEntropy(f"{self._entropy_of} {self._sessions}")
        return Programmer(line or self.line(), key=development_key(role), entropy=entropy)

    def wait(self, ms: int) -> None:
        """Let time pass, from one thing that happens in the pump to the next, so that each is recorded when it does."""
        bench = self._target.bench
        until_ms = bench.now_ms + ms
        while bench.now_ms < until_ms:
            wake_ms = bench.host.wake_at_ms
            next_ms = until_ms if wake_ms is None else min(until_ms, max(wake_ms, bench.now_ms + 1))
            self._target.keep(bench.advance(next_ms - bench.now_ms))


def _fail(sentence: str) -> None:
    raise OSError(sentence)
