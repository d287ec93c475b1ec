"""The rig of a test: remembers which faults the test has injected, so that one that never took effect is told.

A test that injects a fault which does nothing shows nothing: it would pass on a pump that cannot take the fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.errors import UsageError
from hil.rig import Rig

if TYPE_CHECKING:
    from hil.rig import FaultStart


class WatchedRig:
    """A rig, and what a test has injected with it; all else is the rig's."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._effects_before: dict[str, int] = {}
        """How often each fault that the test has injected had taken effect before."""
        self._unfired: tuple[str, ...] | None = None  # where the rig is not there to be asked any more

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rig, name)

    def inject(
        self,
        fault: str,
        start: FaultStart | None = None,
        *,
        for_ms: int | None = None,
        every_ms: int | None = None,
        times: int = 1,
        **parameters: int,
    ) -> None:
        """As `Rig.inject`."""
        before = self._effects()
        self._rig.inject(fault, start, for_ms=for_ms, every_ms=every_ms, times=times, **parameters)
        self._effects_before.setdefault(fault, before.get(fault, 0))

    stall = Rig.stall

    def shutdown(self) -> None:
        """As `Rig.shutdown`."""
        self._unfired = self.unfired()
        self._rig.shutdown()

    def unfired(self) -> tuple[str, ...]:
        """Faults that were injected and have taken no effect since."""
        if self._unfired is not None or not self._effects_before:
            return self._unfired or ()
        now = self._effects()
        return tuple(name for name, before in self._effects_before.items() if now.get(name, 0) <= before)

    def check_all_fired(self, without_effect: frozenset[str] = frozenset()) -> None:
        """UsageError where a fault that the test has injected took no effect, or one that was to take none did."""
        unfired, injected = set(self.unfired()), self._effects_before.keys()
        never = sorted(without_effect - injected)
        if never:
            raise UsageError(
                f"the test says that {', '.join(never)} takes no effect, and has not injected it with its rig"
            )
        idle = sorted(unfired - without_effect)
        if idle:
            raise UsageError(
                f"the test injected {', '.join(idle)}, which took no effect: it shows nothing",
                advice="let happen what the fault acts on, or mark the test @without_effect and say so",
            )
        fired = sorted(without_effect - unfired)
        if fired:
            raise UsageError(f"{', '.join(fired)} took effect, and the test says that it takes none")

    def _effects(self) -> dict[str, int]:
        return {each.name: each.effects for each in self._rig.faults()}
