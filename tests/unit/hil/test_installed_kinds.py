"""A kind of target or instrument of an installed package: found by name, or refused with the package's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import BadConfiguration
from hil.extensions import installed
from hil.instruments.declaration import ENTRY_POINT_GROUP as INSTRUMENTS
from hil.instruments.declaration import InstrumentKind
from hil.targets.schemes import ENTRY_POINT_GROUP as TARGETS
from hil.targets.schemes import Scheme

if TYPE_CHECKING:
    from pathlib import Path

LAB = """
from hil.instruments.declaration import InstrumentKind
from hil.targets.schemes import Scheme

TARGET = Scheme("bridge", "bridge:X", print, print)
INSTRUMENT = InstrumentKind("scope", "looks", frozenset(), (), print)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that offers what is right, what is not there, and what is of another kind or name."""
    (tmp_path / "lab_kinds.py").write_text(LAB)
    about = tmp_path / "lab_kinds-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-kinds\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        f"[{TARGETS}]\nbridge=lab_kinds:TARGET\nscope=lab_kinds:INSTRUMENT\nother=lab_kinds:TARGET\n"
        f"[{INSTRUMENTS}]\nscope=lab_kinds:INSTRUMENT\ngone=lab_kinds:NOTHING\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_a_kind_is_found_by_its_name() -> None:
    target = installed(TARGETS, "bridge", Scheme, "target")
    instrument = installed(INSTRUMENTS, "scope", InstrumentKind, "instrument")
    assert (target and target.form, instrument and instrument.meaning) == ("bridge:X", "looks")
    assert installed(TARGETS, "unheard-of", Scheme, "target") is None


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("group", "name", "row_class", "sentence"),
    [
        (
            INSTRUMENTS,
            "gone",
            InstrumentKind,
            "the instrument gone of lab-kinds cannot be loaded (AttributeError",
        ),
        (
            TARGETS,
            "scope",
            Scheme,
            "lab-kinds says that lab_kinds:INSTRUMENT is the target scope, and it is not",
        ),
        (TARGETS, "other", Scheme, "lab-kinds says that lab_kinds:TARGET is the target other, and it is not"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_package(
    group: str, name: str, row_class: type, sentence: str
) -> None:
    what = "target" if group == TARGETS else "instrument"
    with pytest.raises(BadConfiguration) as refused:
        installed(group, name, row_class, what)
    assert sentence in str(refused.value)
