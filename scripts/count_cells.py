"""Count in how many of many lives by chance each cell is reached, and write that table for `campaign run --explore`.

`python -m scripts.count_cells`, after changes that let lives go elsewhere. It takes a minute, and nothing is wrong with
an old table but that it chooses worse.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import hil.campaign
from hil.campaign.cells import cells_of
from hil.campaign.life import Life

LIVES: Final = 256
FIRST_SEED: Final = 1_000_000_000
"""Far from those that people play."""
DEEDS: Final = 12
LEAST: Final = 2
"""A cell that one life alone has reached is as rare as one that none has."""
TEXT: Final = '''"""In how many of many lives by chance each cell was reached, for `exploring`; others are rarer.

Written by `python -m scripts.count_cells`. An old table lets it choose worse, and nothing else.
"""

from __future__ import annotations

from typing import Final

USUAL_CELLS: Final[dict[str, int]] = {{
{rows}}}
"""Of {lives} lives of {deeds} deeds."""
'''


def main() -> None:
    """Play the lives, and write the table."""
    lives: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + LIVES):
        life = Life(seed)
        reached: set[str] = set()
        for deed in life.row(DEEDS):
            life.do(deed)
            reached.update(cells_of(life.talk.pump))
        lives.update(reached)
    rows = "".join(f'    "{cell}": {count},\n' for cell, count in sorted(lives.items()) if count >= LEAST)
    path = Path(hil.campaign.__file__).parent / "usual_cells.py"
    path.write_text(TEXT.format(lives=LIVES, deeds=DEEDS, rows=rows))


if __name__ == "__main__":
    main()
