"""The import rules hold, and each of them can be broken: one edge at a time is drawn into the graph."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import api, configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

# importer, imported, the rule that must catch it; a name in angle brackets is a new module
BROKEN_IMPORTS = [
    ("protocol.<new>", "hil", "protocol-alone"),
    ("protocol.<new>", "firmware_emu.units", "protocol-alone"),
    ("protocol.wire.<new>", "protocol.codec.atoms", "wire-in-layers"),
    ("protocol.messages.<new>", "protocol.link.events", "wire-in-layers"),
    ("protocol.link.<new>", "protocol.capture.recording", "wire-in-layers"),
    ("firmware_emu.units", "protocol", "units-alone"),
    ("firmware_emu.units", "firmware_emu.profile", "units-alone"),
    ("firmware_emu.pins", "firmware_emu.plant", "pins-and-profile-are-data"),
    ("firmware_emu.profile", "firmware_emu.bench", "pins-and-profile-are-data"),
    ("firmware_emu.now", "firmware_emu.bench", "pins-and-profile-are-data"),
    ("firmware_emu.events", "protocol.identifiers", "pins-and-profile-are-data"),
    ("firmware_emu.now", "time", "no-world-in-the-core"),
    ("firmware_emu.events", "os", "no-world-in-the-core"),
    ("firmware_emu.plant.<new>", "firmware_emu.controller", "plant-knows-no-program"),
    ("firmware_emu.plant.<new>", "protocol.identifiers", "plant-knows-no-program"),
    ("firmware_emu.faults.<new>", "firmware_emu.controller", "faults-stand-on-the-plant"),
    ("firmware_emu.controller.<new>", "firmware_emu.plant", "controller-sees-pins"),
    ("firmware_emu.controller.<new>", "firmware_emu.bench", "controller-sees-pins"),
    ("firmware_emu.controller.commands.<new>", "firmware_emu.controller.boot", "controller-in-layers"),
    (
        "firmware_emu.controller.therapy.<new>",
        "firmware_emu.controller.commands.table",
        "controller-in-layers",
    ),
    (
        "firmware_emu.controller.memory.<new>",
        "firmware_emu.controller.therapy.therapy",
        "controller-in-layers",
    ),
    ("firmware_emu.controller.alarms.<new>", "firmware_emu.controller.memory.memory", "controller-in-layers"),
    ("firmware_emu.pump", "firmware_emu.bench", "pump-knows-no-bench"),
    ("firmware_emu.patient.<new>", "firmware_emu.plant.truth", "patient-alone"),
    ("firmware_emu.patient.<new>", "firmware_emu.controller", "patient-alone"),
    ("firmware_emu.patient.<new>", "random", "no-world-in-the-core"),
    ("firmware_emu.controller.<new>", "firmware_emu.patient.patient", "pump-knows-no-patient"),
    ("firmware_emu.plant.<new>", "firmware_emu.patient", "pump-knows-no-patient"),
    ("firmware_emu.bench.<new>", "hil", "emulator-knows-no-harness"),
    ("firmware_emu.cli", "hil.errors", "emulator-knows-no-harness"),
    ("hil.<new>", "firmware_emu.units", "harness-meets-emulator-once"),
    ("hil.suite.<new>", "firmware_emu.pump", "harness-meets-emulator-once"),
    ("hil.targets.<new>", "firmware_emu.bench", "harness-meets-emulator-once"),
    ("hil.instruments.<new>", "subprocess", "instruments-are-handed-the-lab"),
    ("hil.robot.<new>", "robot", "robot-finds-us"),
    ("hil.instruments.<new>", "hil.targets.port", "instruments-are-handed-the-lab"),
    ("protocol.<new>", "time", "no-world-in-the-core"),
    ("protocol.<new>", "secrets", "no-world-in-the-core"),
    ("firmware_emu.plant.<new>", "random", "no-world-in-the-core"),
    ("firmware_emu.plant.<new>", "os", "no-world-in-the-core"),
    ("firmware_emu.controller.<new>", "threading", "no-world-in-the-core"),
    ("firmware_emu.controller.<new>", "asyncio", "no-world-in-the-core"),
    ("firmware_emu.pump", "socket", "no-world-in-the-core"),
    ("firmware_emu.pump", "serial", "no-world-in-the-core"),
    ("firmware_emu.pump", "click", "no-world-in-the-core"),
    ("firmware_emu.pump", "pytest", "no-world-in-the-core"),
    ("firmware_emu.controller.<new>", "construct", "home-of-construct"),
    ("protocol.link.client_end", "construct", "home-of-construct"),
    ("firmware_emu.controller.<new>", "crcmod", "home-of-crcmod"),
    ("protocol.link.client_end", "cobs", "home-of-cobs"),
    ("protocol.link.client_end", "cryptography", "home-of-cryptography"),
    ("firmware_emu.controller.<new>", "transitions", "home-of-transitions"),
    ("hil.<new>", "serial", "home-of-pyserial"),
    ("hil.<new>", "platformdirs", "home-of-platformdirs"),
    ("hil.cli.<new>", "rich", "home-of-rich"),
    ("hil.cli.<new>", "matplotlib", "home-of-matplotlib"),
    ("hil.cli.<new>", "numpy", "home-of-numpy"),
    ("hil.cli.<new>", "distributed", "home-of-dask"),
    ("firmware_emu.bench.<new>", "fastapi", "home-of-fastapi"),
    ("hil.<new>", "uvicorn", "home-of-fastapi"),
    ("firmware_emu.bench.<new>", "click", "home-of-click"),
    ("hil.<new>", "pytest", "home-of-pytest"),
]


CONTRACTS = {"forbidden": ForbiddenContract, "layers": LayersContract}


@pytest.fixture(scope="module")
def configured(root: Path) -> dict[str, Any]:
    configuration.configure()
    return dict(api.read_configuration(str(root / "pyproject.toml")))


@pytest.fixture(scope="module")
def graph(configured: dict[str, Any]) -> grimp.ImportGraph:
    packages = configured["session_options"]["root_packages"]
    return grimp.build_graph(*packages, include_external_packages=True, cache_dir=None)


def broken_rules(configured: dict[str, Any], graph: grimp.ImportGraph, only: str | None = None) -> set[str]:
    """Ids of the rules that this graph breaks, of all or of one."""
    broken = set()
    for options in configured["contracts_options"]:
        if only not in (None, options["id"]):
            continue
        contract = CONTRACTS[options["type"]](options["name"], configured["session_options"], options)
        if not contract.check(copy.deepcopy(graph), verbose=False).kept:
            broken.add(options["id"])
    return broken


def test_the_import_rules_hold(configured: dict[str, Any], graph: grimp.ImportGraph) -> None:
    assert broken_rules(configured, graph) == set()


@pytest.mark.parametrize(("importer", "imported", "rule"), BROKEN_IMPORTS)
def test_each_import_rule_can_be_broken(
    configured: dict[str, Any], graph: grimp.ImportGraph, importer: str, imported: str, rule: str
) -> None:
    if "<" not in importer:
        assert importer in graph.modules, "the row names a module that is not there any more"
    importer = importer.replace("<new>", "stowaway")
    changed = copy.deepcopy(graph)
    if importer not in changed.modules:
        changed.add_module(importer)
    changed.add_import(
        importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}"
    )
    assert broken_rules(configured, changed, only=rule) == {rule}


def test_every_import_rule_is_tried(configured: dict[str, Any]) -> None:
    assert {options["id"] for options in configured["contracts_options"]} == {
        rule for _, _, rule in BROKEN_IMPORTS
    }
