"""Recordings that the tests of comparison share: each is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.hil.comparison.recordings import messages, recorded

if TYPE_CHECKING:
    from pathlib import Path

    from hil.capture.messages import RecordedMessage


@pytest.fixture(scope="session")
def a_visit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visit to a pump."""
    return recorded(tmp_path_factory.mktemp("visit") / "a.pcapng")


@pytest.fixture(scope="session")
def said(a_visit: Path) -> list[RecordedMessage]:
    """What was said in it."""
    return messages(a_visit)
