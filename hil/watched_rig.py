"""The rig of a test: remembers which faults the test has injected, so that one that never took effect is told.

A test that injects a fault which does nothing shows nothing: it would pass on a pump that cannot take the fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hil.errors import UsageError
from hil.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.rig import FaultStart
    from hil.rig_snapshots import RigRestored


ACTIONS: Final = frozenset(
    {
        "set_speed",
        "advance",
        "run_until",
        "power_cut",
        "power_restore",
        "aspirate",
        "fill",
        "clear",
        "snapshot",
        "forget",
    }
)
"""What of a rig changes something, but for what stands below."""


class WatchedRig:
    """A rig, and what a test has injected with it; all else is the rig's."""

    def __init__(
        self,
        rig: Rig,
        told: Callable[[str], None] | None = None,
        hold: Callable[[], None] | None = None,
    ) -> None:
        """`told` is told in words of each thing that the test has done with the rig, once it is done.

        `hold` is called before each of them, so that somebody may keep how it was.
        """
        self._rig = rig
        self._told = told
        self.has_acted = False
        """Whether the test has cut the power, or injected a fault."""
        self.power_is_off = False
        """Whether the test has cut the power, or armed a cut, and not restored it."""
        self._hold = hold
        self._effects_before: dict[str, int] = {}
        """How often each fault that the test has injected had taken effect before."""
        self._fired: set[str] = set()
        """Those that had taken effect when the bench went back to an earlier state."""
        self._unfired: tuple[str, ...] | None = None  # where the rig is not there to be asked any more

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._rig, name)
        return self._telling(name, found) if name in ACTIONS else found

    def _telling(self, name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def done(*arguments: Any, **named: Any) -> Any:
            if self._hold is not None:
                self._hold()
            result = action(*arguments, **named)
            if name in {"power_cut", "power_restore"}:
                self.has_acted, self.power_is_off = True, name == "power_cut"
            self._tell(name, *arguments, **named)
            return result

        return done

    def _tell(self, *words: Any, **named: Any) -> None:
        if self._told is not None:
            self._told(" ".join([*map(str, words), *(f"{name}={value}" for name, value in named.items())]))

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
        self.has_acted = True
        before = self._effects()
        if self._hold is not None:
            self._hold()
        self._rig.inject(fault, start, for_ms=for_ms, every_ms=every_ms, times=times, **parameters)
        self._effects_before.setdefault(fault, before.get(fault, 0))
        when = {} if start is None else {"start": start}
        spans = {"for_ms": for_ms, "every_ms": every_ms, "times": None if times == 1 else times}
        said = {name: value for name, value in spans.items() if value is not None}
        self._tell("inject", fault, **when, **said, **parameters)

    def restore(self, name: str, memory_id: int | None = None) -> RigRestored:
        """As `Rig.restore`; a fault that took effect before has done so, whatever the restored pump knows of it."""
        idle = set(self.unfired())
        self._fired |= self._effects_before.keys() - idle
        restored = self._rig.restore(name, memory_id)
        now = self._effects() if idle else {}
        self._effects_before |= {fault: now.get(fault, 0) for fault in idle}
        self._tell("restore", name)
        return restored

    stall = Rig.stall

    def shutdown(self) -> None:
        """As `Rig.shutdown`."""
        self._unfired = self.unfired()
        self._rig.shutdown()
        self._tell("shutdown")

    def unfired(self) -> tuple[str, ...]:
        """Faults that were injected and have taken no effect since."""
        if self._unfired is not None or not self._effects_before:
            return self._unfired or ()
        now = self._effects()
        return tuple(
            name
            for name, before in self._effects_before.items()
            if name not in self._fired and now.get(name, 0) <= before
        )

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
