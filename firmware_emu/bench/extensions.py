"""What installed packages add to an emulator, found by their entry points."""

from __future__ import annotations

from typing import TypeVar

from firmware_emu.bench.errors import BadConfigurationError

Row = TypeVar("Row")


def installed(group: str, name: str, row_class: type[Row]) -> Row | None:
    """The row that an installed package offers under this name; None where no package does.

    BadConfigurationError names the package where its row cannot be loaded, or is no `row_class` of that name.
    """
    from importlib import metadata  # noqa: PLC0415 - 20 ms that an emulator of our own parts does not need

    for entry_point in metadata.entry_points(group=group, name=name):
        package = "an installed package" if entry_point.dist is None else entry_point.dist.name
        try:
            row = entry_point.load()
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise BadConfigurationError(
                f"{name} of {package} cannot be loaded ({said}); install that package again, or do without it"
            ) from error
        if not isinstance(row, row_class) or getattr(row, "name", None) != name:
            raise BadConfigurationError(
                f"{package} says that {entry_point.value} is the {row_class.__name__} {name}, and it is not"
            )
        return row
    return None
