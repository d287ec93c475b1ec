"""A signal ends a run at any instruction, and pytest can tell of it all the same."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

from hil.run.endings import EndedBySignal, drop_entries_without_a_line

if TYPE_CHECKING:
    from types import FrameType


def with_instructions_of_no_line(manager: object) -> FrameType:
    with manager:  # type: ignore[attr-defined] # a context, whichever
        return sys._getframe()


def interrupted_where_there_is_no_line() -> EndedBySignal:
    """A signal that came in the middle of three calls, at what the compiler put in at the end of a `with`."""
    frame = with_instructions_of_no_line(pytest.MonkeyPatch.context())
    [at, *_] = [start for start, _, line in frame.f_code.co_lines() if line is None]
    handler = TracebackType(None, sys._getframe(), 0, 30)
    return EndedBySignal("SIGTERM").with_traceback(
        TracebackType(TracebackType(handler, frame, at, -1), sys._getframe(), 0, 20)
    )


def test_a_signal_at_an_instruction_of_no_line_is_told_as_one_at_any_other() -> None:
    error = interrupted_where_there_is_no_line()
    with pytest.raises(TypeError, match="NoneType"):
        pytest.ExceptionInfo.from_exception(error).getrepr()
    drop_entries_without_a_line(error.__traceback__)
    assert "SIGTERM" in str(pytest.ExceptionInfo.from_exception(error).getrepr())
    assert error.__traceback__ is not None
    assert [error.__traceback__.tb_lineno, getattr(error.__traceback__.tb_next, "tb_lineno", 0)] == [20, 30]


def test_no_traceback_is_none() -> None:
    drop_entries_without_a_line(None)
