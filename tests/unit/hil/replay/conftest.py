"""A visit to an emulated pump, recorded, and a programmer on its replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.programmer.programmer import Programmer
from hil.replay.conversation import Conversation, read_conversation
from tests.unit.hil.replay.scripts import device_of, programmer_on, recorded_visit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def visit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visit to an emulated pump, recorded."""
    return recorded_visit(tmp_path_factory.mktemp("visit") / "visit.pcapng")


@pytest.fixture
def conversation(visit_file: Path) -> Conversation:
    return read_conversation(visit_file)


@pytest.fixture
def pump(conversation: Conversation) -> Iterator[Programmer]:
    """A programmer on the replay of the visit, which has looked at the status as the recorded one did."""
    with programmer_on(device_of(conversation)) as programmer:
        programmer.status()
        yield programmer
