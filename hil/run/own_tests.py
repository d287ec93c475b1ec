"""Names of tests that stand outside the suite's folder: by their whole path.

pytest names a file that it was handed by its path from what it was handed, which is nothing at all: `::test_x`, of
whatever file, and two files with one test name could not be told apart in the report or by `--lf`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A module with its path as its name; None where pytest's own name, from the root, will do."""
    if module_path.is_relative_to(parent.config.rootpath):
        return None
    return pytest.Module.from_parent(parent, path=module_path, nodeid=module_path.as_posix())
