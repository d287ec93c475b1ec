"""Some lives of a file played again: whether the file has of them what this code plays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.campaign.playing import lived_by
from hil.campaign.violations_told import lives_text
from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from hil.campaign.lives_file import LivesFile
    from hil.campaign.plan import Plan
    from hil.campaign.playing import Lived

CHECKED_MAX: Final = 5
"""Lives that are played again; a file in which only few were changed most likely passes."""
CHECKED_TIME_MAX_MS: Final = 10_000
"""After so long no other is begun."""


def check_some(
    plan: Plan, file: LivesFile, path: Path, random: Random, clock_ms: Callable[[], int]
) -> tuple[int, ...]:
    """Play some lives of a file again, and return their seeds; empty: it has none.

    `random` chooses them, `clock_ms` is the host's clock. BadConfiguration where one comes out otherwise. To be called
    where the file says that this code played it.
    """
    seeds = file.seeds()
    checked: list[int] = []
    until_ms = clock_ms() + CHECKED_TIME_MAX_MS
    for seed in random.sample(seeds, min(CHECKED_MAX, len(seeds))):
        if checked and clock_ms() >= until_ms:
            break
        kept, lived = file.life(seed), lived_by(plan, seed)
        if otherwise := _otherwise(kept, lived):
            raise BadConfiguration(
                f"{path} has of life {seed} what this code does not play: {', '.join(otherwise)}. Somebody changed the "
                "file, or the Python or the libraries that played it are others",
                advice="play the plan anew, with another file",
            )
        checked.append(seed)
    return tuple(sorted(checked))


def _otherwise(kept: Lived, lived: Lived) -> list[str]:
    """What is not the same, by name; in what words something was found does not count."""
    return [
        name
        for name, one, other in zip(kept._fields, kept, lived, strict=True)
        if one != other and name != "found"
    ]


def checked_line(checked: tuple[int, ...] | None) -> str:
    """What is said of it; "" where there were no lives of earlier runs. None: other code played them."""
    if checked is None:
        return "no life was played again, as other code played them: the numbers are those of the file"
    if not checked:
        return ""
    lives = lives_text(len(checked))
    return f"{lives} of the file played again, and the same; all other numbers are those of the file"
