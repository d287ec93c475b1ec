"""What a UART reads of another one that may be set differently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.bench.ports.uart import UartSettings, received

EVERY_BYTE = bytes(range(256))
DEVICE = UartSettings()
BAUDS = st.integers(1, 4_000_000)
SETTINGS = st.builds(UartSettings, BAUDS, st.integers(5, 8), st.sampled_from("NOEMS"), st.integers(2, 4))


@given(data=st.binary(max_size=64), settings=SETTINGS)
def test_ends_that_are_set_alike_read_what_was_sent(data: bytes, settings: UartSettings) -> None:
    sent = bytes(byte & (1 << settings.data_bits) - 1 for byte in data)
    assert received(data, settings, settings) == (sent, False, False)


@pytest.mark.parametrize("baud", [112_500, 114_000, 117_000, 118_000])
def test_a_clock_that_is_two_percent_off_does_no_harm(baud: int) -> None:
    other = UartSettings(baud=baud)
    assert received(EVERY_BYTE, other, DEVICE).data == EVERY_BYTE
    assert received(EVERY_BYTE, DEVICE, other).data == EVERY_BYTE


@pytest.mark.parametrize(
    ("sent", "baud", "read"),
    [
        # 0x55 is 0 1 0 1 0 1 0 1 0 1 on the line: at twice the rate each of these is two bits, and the stop bit is a 0
        (b"\x55", 230_400, b"\x66\xe6"),
        (b"\x55", 57_600, b""),  # no low lasts for half of its bits
        (b"\x00", 57_600, b"\xf8"),  # low for four and a half of its bits, start among them
        (b"\x00", 1_152_000, b"\x00"),
        (b"\xff", 1_200, b""),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else str(value),
)
def test_a_receiver_of_another_rate_reads_what_it_finds_in_the_middle_of_its_bits(
    sent: bytes, baud: int, read: bytes
) -> None:
    assert received(sent, DEVICE, UartSettings(baud=baud)).data == read


def test_a_stop_bit_that_is_missed_and_a_parity_that_is_wrong_are_seen() -> None:
    assert received(b"\x00", UartSettings(baud=57_600), DEVICE).framing_error
    wrong = received(b"\x01", UartSettings(parity="E"), UartSettings(parity="O"))
    assert wrong == (b"\x01", False, True)


def test_seven_bits_with_parity_are_eight_without_it() -> None:
    text = bytes(range(128))
    read = received(text, UartSettings(data_bits=7, parity="E"), DEVICE).data
    assert bytes(byte & 0x7F for byte in read) == text
    assert all(byte.bit_count() % 2 == 0 for byte in read)


@given(data=st.binary(max_size=64), sender=SETTINGS, receiver=SETTINGS)
def test_whatever_the_settings_it_ends_and_gives_bytes_of_the_receivers_size(
    data: bytes, sender: UartSettings, receiver: UartSettings
) -> None:
    read = received(data, sender, receiver).data
    assert all(byte < 1 << receiver.data_bits for byte in read)
    assert len(read) <= 12 * len(data), "a frame begins with an edge, and a byte has no more of them"
