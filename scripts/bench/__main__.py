"""`make bench`: each goal of speed as a ratio to a floor of the same run. Prints a table, asserts nothing."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib import import_module

from protocol.wire import checksum, framing
from scripts.bench.measure import Row, table

PARTS = ("codec", "virtual_time", "start_up", "round_trip", "image", "recording", "snapshot")


def main(wanted: list[str]) -> int:
    """Measure the parts that were named, or all."""
    unknown = set(wanted) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for part in wanted or PARTS:
        if sys.stderr.isatty():
            print(f"measuring {part} ...", file=sys.stderr)
        measure: Callable[[], list[Row]] = import_module(f"scripts.bench.{part}").rows
        rows += measure()
    print(table(rows))
    print()
    print(f"crcmod in C: {_yes(checksum.uses_c_extension())}; cobs in C: {_yes(framing.uses_c_extension())}")
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores")
    print("medians, of snapshots the quickest; floor and ours in turns within this run.")
    print("Ratios hold to about 15 percent, times do not.")
    return 0


def _yes(value: object) -> str:
    return "yes" if value else "NO - pure Python, the goals assume C"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
