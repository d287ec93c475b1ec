"""The random source: the same seed gives the same bytes, and no two processes share a stream."""

from __future__ import annotations

from itertools import combinations

from firmware_emu.plant.entropy import Entropy


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert Entropy(b"a").draw("nonce", 40) == Entropy(b"a").draw("nonce", 40)


def test_other_seeds_streams_boots_and_draws_give_other_bytes() -> None:
    rebooted, drawn = Entropy(b"a"), Entropy(b"a")
    rebooted.reboot()
    drawn.draw("nonce", 1)
    sources = [(Entropy(b"a"), "nonce"), (Entropy(b"b"), "nonce"), (Entropy(b"a"), "sid")]
    sources += [(rebooted, "nonce"), (drawn, "nonce")]
    blocks = [source.draw(stream, 16) for source, stream in sources]
    assert all(one != other for one, other in combinations(blocks, 2))


def test_drawing_from_one_stream_leaves_the_others_alone() -> None:
    disturbed = Entropy(b"a")
    disturbed.draw("sid", 1_000)
    assert disturbed.draw("nonce", 16) == Entropy(b"a").draw("nonce", 16)


def test_a_stream_starts_anew_at_each_boot_whatever_was_drawn_before() -> None:
    idle, busy = Entropy(b"a"), Entropy(b"a")
    busy.draw("nonce", 500)
    idle.reboot()
    busy.reboot()
    assert idle.draw("nonce", 16) == busy.draw("nonce", 16)


def test_any_length_is_drawn() -> None:
    assert [len(Entropy(b"a").draw("nonce", length)) for length in (0, 1, 32, 33, 100)] == [0, 1, 32, 33, 100]


def test_the_seed_and_the_stream_cannot_be_confused() -> None:
    assert Entropy(b"1:a").draw("b", 16) != Entropy(b"1").draw("a:b", 16)


def test_known_bytes_so_that_a_recorded_seed_stays_good() -> None:
    assert Entropy(b"seed").draw("nonce", 16).hex() == "aac40975880390cf151afb3e18e83c09"


def test_a_stuck_source_answers_zeros_and_goes_on_when_healed() -> None:
    source = Entropy(b"a")
    source.stuck = True
    assert source.draw("nonce", 16) == bytes(16)
    source.stuck = False
    assert source.draw("nonce", 16) == Entropy(b"a").draw("nonce", 16)
