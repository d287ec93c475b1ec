"""Whether the marks of a test are right: requirements, capabilities and pumps that exist. No pytest here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.capabilities import parse_needs
from hil.errors import BadConfiguration
from hil.report.requirements import read_requirements
from hil.targets.choices import PumpChoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def known_requirements(more: Iterable[Path]) -> frozenset[str]:
    """Ids of our requirements and of those in these files; BadConfiguration where one cannot be read."""
    return frozenset(read_requirements(more))


def check_mark(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], requirements: frozenset[str]
) -> None:
    """BadConfiguration where a mark of that name says what cannot be."""
    {
        "verifies": _check_verifies,
        "needs": _check_needs,
        "starts_as": _check_starts_as,
        "without_effect": _check_without_effect,
    }[name](args, kwargs, requirements)


def _check_verifies(args: tuple[Any, ...], kwargs: Mapping[str, Any], requirements: frozenset[str]) -> None:
    unknown = [repr(each) for each in args if not (isinstance(each, str) and each in requirements)]
    if unknown or kwargs or not args:
        raise BadConfiguration(
            f"@verifies must name requirements, and does not know {', '.join(unknown)}"
            if unknown
            else "@verifies must name one or more requirements, and nothing else",
            advice="those of your own stand in the files that the ini option hil_requirements names",
        )


def _check_needs(args: tuple[Any, ...], kwargs: Mapping[str, Any], _requirements: frozenset[str]) -> None:
    try:
        parse_needs(args)
    except ValueError as error:
        raise BadConfiguration(f"@needs: {error}") from error
    if kwargs or not args:
        raise BadConfiguration("@needs must name one or more capabilities, and nothing else")


def _check_without_effect(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], _requirements: frozenset[str]
) -> None:
    if kwargs or not args or not all(isinstance(each, str) for each in args):
        raise BadConfiguration("@without_effect must name one or more faults, and nothing else")


def _check_starts_as(args: tuple[Any, ...], kwargs: Mapping[str, Any], _requirements: frozenset[str]) -> None:
    from hil.targets.emulated import check_choice  # noqa: PLC0415 - a board needs no emulator

    if len(args) != 1 or not isinstance(args[0], str) or not kwargs.keys() <= {"model", "implant"}:
        raise BadConfiguration(
            "@starts_as must name one profile, and may say what of model and implant differs"
        )
    try:
        check_choice(PumpChoice(args[0], model=kwargs.get("model", {}), implant=kwargs.get("implant", {})))
    except BadConfiguration as error:
        raise BadConfiguration(f"@starts_as({args[0]!r}) names no pump that can be made: {error}") from error
    except (TypeError, AttributeError) as error:
        raise BadConfiguration(
            f"@starts_as({args[0]!r}) has fields that no profile can have: {error}"
        ) from error
