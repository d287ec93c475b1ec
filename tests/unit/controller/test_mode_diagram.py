"""The diagram in DESIGN.md is the one that the table gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "generate_mode_diagram.py"
    spec = importlib.util.spec_from_file_location("generate_mode_diagram", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_diagram_is_up_to_date(script: ModuleType) -> None:
    text = script.DOCUMENT.read_text(encoding="utf-8")
    assert script.generated(text) == text


def test_an_old_diagram_is_replaced(script: ModuleType) -> None:
    text = f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n"
    made = script.generated(text)
    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "old" not in made
    assert "RUN --> STOP: stop_commanded<br>reservoir_emptied_stop" in made
    assert script.generated(made) == made


def test_a_document_without_markers_is_refused(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="exactly one pair of markers"):
        script.generated("nothing here")
