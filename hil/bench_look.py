"""A look at what stands around a board before a run: whether each part is there, with no effect on the pump."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from hil.errors import PumpbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.instruments.declaration import Part


class PartSeen(NamedTuple):
    """What came of a look; `problem` "" where nothing was found wrong, `found` "" where nothing was found."""

    name: str
    found: str
    problem: str


class PartLooks:
    """Looks at the parts of a bench, each in a thread of its own: one that hangs costs the others no time."""

    def __init__(self, parts: tuple[Part, ...], limit_ms: int) -> None:
        """Begin them. None may take longer than `limit_ms`, by the wall."""
        self._limit_ms = limit_ms
        self._parts = parts
        self._seen: dict[str, PartSeen] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(part,), name=f"pumpbench-look-{part.name}", daemon=True)
            for part in parts
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, part: Part) -> None:
        if part.look is None:
            self._seen[part.name] = PartSeen(part.name, "", "")
            return
        try:
            self._seen[part.name] = PartSeen(part.name, part.look(self._limit_ms), "")
        except PumpbenchError as error:
            self._seen[part.name] = PartSeen(part.name, "", str(error))
        except Exception as error:  # noqa: BLE001 - else it would be told as silence
            self._seen[part.name] = PartSeen(
                part.name, "", f"its look raised {type(error).__name__}: {error}"
            )

    def ended(self, left_s: Callable[[], float]) -> tuple[PartSeen, ...]:
        """What each found once all have ended; one that has not, with no time left, is wrong itself.

        `left_s`: how much time is left, in seconds.
        """
        for thread in self._threads:
            thread.join(max(0.0, left_s()))
        late = f"it has not said whether it is there within {self._limit_ms} ms"
        return tuple(self._seen.get(part.name, PartSeen(part.name, "", late)) for part in self._parts)
