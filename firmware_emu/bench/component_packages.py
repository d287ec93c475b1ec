"""Kinds of component that installed packages add: entry points of the group `pumpbench.components`, named PART.KIND."""

from __future__ import annotations

from typing import Final

from firmware_emu.plant.components import COMPONENTS, PARTS, ComponentRow, register_component

ENTRY_POINT_GROUP: Final = "pumpbench.components"


def find_component(part: str, kind: str) -> bool:
    """Whether there is such a kind; registers that of an installed package. ValueError where that cannot be used."""
    if (part, kind) not in COMPONENTS and part in PARTS:
        from importlib import metadata  # noqa: PLC0415 - 20 ms that a profile of our own kinds does not need

        for entry_point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=f"{part}.{kind}"):
            package = "an installed package" if entry_point.dist is None else entry_point.dist.name
            try:
                row = entry_point.load()
            except Exception as error:
                raise ValueError(
                    f"{kind} of {package} cannot be loaded ({type(error).__name__}: {error}); install it again"
                ) from error
            if not isinstance(row, ComponentRow) or (row.part, row.kind) != (part, kind):
                raise ValueError(
                    f"{package} says that {entry_point.value} is the {part} {kind}, and it is not"
                )
            register_component(row)
            break
    return (part, kind) in COMPONENTS
