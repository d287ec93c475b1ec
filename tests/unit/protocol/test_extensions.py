"""A missing C extension is not an error, but it must not go unsaid."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

from protocol.wire import checksum, framing
from tests.support.patience import PATIENCE_S

WITHOUT_C = """
import sys
sys.modules["crcmod._crcfunext"] = None
sys.modules["cobs.cobs._cobs_ext"] = None
from protocol.wire import checksum, framing
assert not checksum.uses_c_extension() and not framing.uses_c_extension()
assert checksum.crc32c(b"123456789") == 0xE3069283
from firmware_emu.cli import emulate
emulate(["--profile", "implanted", "--tcp", "127.0.0.1:0"])
"""


def test_a_library_works_in_c_where_its_extension_is_installed() -> None:
    assert checksum.uses_c_extension() is (find_spec("crcmod._crcfunext") is not None)
    assert framing.uses_c_extension() is (find_spec("cobs.cobs._cobs_ext") is not None)


def test_an_emulator_without_the_extensions_says_so_and_works() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_C], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        ready = run.stdout.readline()
        run.terminate()
        _, said = run.communicate(timeout=PATIENCE_S)
    assert b'"ready": true' in ready, said
    assert b"crcmod runs in pure Python" in said
    assert b"cobs runs in pure Python" in said
