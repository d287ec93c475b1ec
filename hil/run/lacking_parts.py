"""A test that asks a rig of parts for what none of its parts does is skipped, with the sentence of the rig."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import NotOnThisRig

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Skip a test that asks for a part that is not there."""
    try:
        return (yield)
    except NotOnThisRig as lacking:
        pytest.skip(str(lacking))
