"""What installed packages add at the host's side, found by their entry points."""

from __future__ import annotations

from typing import TypeVar

from hil.errors import BadConfiguration

Row = TypeVar("Row")


def installed(group: str, name: str, row_class: type[Row], what: str) -> Row | None:
    """The row that an installed package offers under this name; None where no package does.

    `what` such rows are, for people. BadConfiguration names the package where its row cannot be loaded, or is no
    `row_class` of that name.
    """
    from importlib import metadata  # noqa: PLC0415 - 20 ms that a kind of ours does not need

    for entry_point in metadata.entry_points(group=group, name=name):
        package = "an installed package" if entry_point.dist is None else entry_point.dist.name
        try:
            row = entry_point.load()
        except Exception as error:
            raise BadConfiguration(
                f"the {what} {name} of {package} cannot be loaded ({type(error).__name__}: {error})",
                advice=f"install that package again, or name another {what}",
            ) from error
        if not isinstance(row, row_class) or getattr(row, "name", None) != name:
            raise BadConfiguration(
                f"{package} says that {entry_point.value} is the {what} {name}, and it is not",
                advice=f"its entry point must name a {row_class.__module__}.{row_class.__name__} of the same name",
            )
        return row
    return None
