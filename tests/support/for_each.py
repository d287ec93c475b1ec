"""One property, many cases, one test: a loop that runs every case and says which failed."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.soak import part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# `pytest.raises` that saw nothing raised is no `Exception`. A case that skips itself would hide itself: it failed.
FAILURES = (Exception, pytest.fail.Exception, pytest.skip.Exception)
LINES_A_CASE = 6


def case_name(value: object, column: str = "") -> str:
    """What a person calls a value: its name if it has one, a number after the name of its column, else its repr."""
    if isinstance(value, enum.Enum):
        return value.name or repr(value)
    if value is None or isinstance(value, bool | int):
        return f"{column} {value}".strip()
    name = getattr(value, "__name__", None) or (value if isinstance(value, str) else repr(value))
    return name if len(name) <= 60 else f"{name[:57]}..."


def for_each(
    names: str | tuple[str, ...],
    cases: Iterable[Any],
    *,
    name: Callable[[Any], str] | None = None,
    one_in: int = 1,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a test of a check that takes one case, and may take others from a `for_each` above it.

    It reads like `pytest.mark.parametrize`, and is one test for pytest: it takes no fixtures. With a tuple of names
    each case is a row. The message names each case that failed; the traceback is that of the first. With `one_in` a
    part of the cases is played, and all of them in a long run.
    """
    columns = (names,) if isinstance(names, str) else names
    rows = [(case,) if isinstance(names, str) else tuple(case) for case in cases]
    if not rows:
        raise ValueError(f"there is no case of {', '.join(columns)}: the test could not fail")

    def name_of(row: tuple[Any, ...]) -> str:
        if name is not None:
            return name(row[0] if isinstance(names, str) else row)
        return ", ".join(map(case_name, row, columns))

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        def every(**others: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            what = ", ".join([check.__qualname__, *(case_name(other) for other in others.values())])
            played = part_of(what, rows, one_in)
            for row in played:
                try:
                    check(**others, **dict(zip(columns, row, strict=True)))
                except FAILURES as error:
                    failed.append((name_of(row), error))
                    if "from pytest-timeout" in str(error):
                        break  # the time of the whole test is over, and nothing would stop the next case
            if failed:
                raise AssertionError(_told(failed, len(played))) from failed[0][1]

        # pytest sees the name, the marks and the place of the check, but not its arguments: they are no fixtures.
        for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(every, attribute, getattr(check, attribute))
        vars(every).update(pytestmark=list(getattr(check, "pytestmark", [])), place_as=check)
        return every

    return decorate


def _told(failed: list[tuple[str, BaseException]], total: int) -> str:
    lines = [f"{len(failed)} of {total} failed: {'; '.join(name for name, _ in failed)}"]
    for name, error in failed:
        first, *more = f"{type(error).__name__}: {error}".splitlines()[:LINES_A_CASE]
        lines += [f"  {name}: {first}", *(f"    {line}" for line in more)]
    return "\n".join(lines)
