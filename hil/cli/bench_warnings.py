"""Warnings of boards of the bench file that cannot be used, for whoever uses another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.cli.output import say
from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from hil.address import Address
    from hil.bench_file import BenchFile


def unusable_boards(bench: BenchFile) -> dict[str, BadConfiguration]:
    """The boards whose tables cannot be right, their instruments and claims too, each with what is wrong."""
    from hil.targets.board import bench_target  # noqa: PLC0415 - it imports all that a board may have

    refused = dict(bench.refused)
    for name, each in bench.targets.items():
        try:
            bench_target(f"bench:{name}", each)
        except BadConfiguration as error:
            refused[name] = error
    return refused


def warn_of_other_boards(address: Address) -> None:
    """Say on stderr which other boards of its bench file cannot be used; nothing where `address` is of no such file.

    BadConfiguration where the file cannot be read.
    """
    from hil.bench_file import nearest_bench_file  # noqa: PLC0415 - of `bench:` alone

    if address.scheme.name != "bench":
        return
    for name, error in unusable_boards(nearest_bench_file()).items():
        if name != address.place:
            say(f"pumpbench: warning: bench:{name} cannot be used: {error.one_line()}")
