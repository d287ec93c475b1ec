"""Finds the files of golden sessions, NAME.session.toml, among what pytest was asked to collect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A golden session is a test."""
    if not file_path.name.endswith(".session.toml"):
        return None
    from hil.run.golden_tests import GoldenFile  # noqa: PLC0415 - nothing of it unless there is one

    collector: pytest.Collector = GoldenFile.from_parent(parent, path=file_path)
    return collector
