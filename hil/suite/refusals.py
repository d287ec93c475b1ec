"""What a refusal has to be: secured, of the expected code, and certain that nothing was changed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from hil.errors import DeviceRefused
from protocol.identifiers import ErrorCode, StateChanged
from protocol.messages.errors import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refusal:
    """The refusal of a `with refused(...)` block, once the block has ended."""

    error: ErrorReply


@contextmanager
def refused(code: ErrorCode) -> Iterator[Refusal]:
    """The block must be refused with this code, and the pump must say that nothing changed."""
    seen = Refusal()
    with pytest.raises(DeviceRefused) as caught:
        yield seen
    check_refusal(caught.value.error, code)
    seen.error = caught.value.error


def check_refusal(error: object, code: ErrorCode) -> ErrorReply:
    """A raw refusal of this code that changed nothing."""
    assert isinstance(error, ErrorReply), f"no refusal but {error}"
    assert (error.code, error.error_class, error.state_changed) == (code, code.error_class, StateChanged.NO)
    return error
