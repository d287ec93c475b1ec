"""Kinds of component of installed packages: found by their entry point, or refused by the package's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.plant.components import COMPONENTS

MODULE = """
from firmware_emu.plant.catheter import Catheter
from firmware_emu.plant.components import ComponentRow

ROW = ComponentRow("catheter", "long", lambda plant, given: Catheter.of(given.model, given.implant))
"""


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile that names three kinds of a package which is on the path: one good, two that cannot be used."""
    record = tmp_path / "long_catheter-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: long-catheter\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(
        "[pumpbench.components]\n"
        "catheter.long = long_catheter:ROW\n"
        "catheter.other = long_catheter:ROW\n"
        "catheter.gone = long_catheter:NOTHING\n"
    )
    (tmp_path / "long_catheter.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "p.toml"


def test_a_kind_of_an_installed_package_is_registered_when_a_profile_names_it(profile: Path) -> None:
    profile.write_text('[components]\ncatheter = "long"\n')
    try:
        for _ in range(2):
            assert load_profile(profile).model.components == (("catheter", "long"),)
    finally:
        del COMPONENTS["catheter", "long"]


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (
            "other",
            "long-catheter says that long_catheter:ROW is the ComponentRow catheter.other, and it is not",
        ),
        ("gone", "catheter.gone of long-catheter cannot be loaded (AttributeError: "),
    ],
)
def test_a_package_that_cannot_be_used_is_named(profile: Path, kind: str, complaint: str) -> None:
    profile.write_text(f'[components]\ncatheter = "{kind}"\n')
    with pytest.raises(BadConfigurationError) as caught:
        load_profile(profile)
    assert str(caught.value).startswith(f"profile {profile}: components.catheter: {complaint}")
    assert "\n" not in str(caught.value)
