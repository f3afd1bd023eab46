"""Records that carry nothing: all are counted, however they are cut up, and only they use up the budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ambassador.tunnel import records
from ambassador.tunnel.records import MOST, Records


def record(size: int) -> bytes:
    """Return a record with so many bytes behind its header."""
    return b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size)


sizes = st.lists(st.integers(0, 60) | st.integers(0, 17_000), max_size=200)


@given(sizes=sizes, pieces=st.lists(st.integers(1, 40) | st.integers(1, 65536), min_size=1, max_size=40))
def test_each_record_is_counted_once(sizes: list[int], pieces: list[int]) -> None:
    """However a stream comes in pieces, nothing is left out, no call gets too many records, and all are counted."""
    stream = b"".join(map(record, sizes))
    counter, at, counted, turn = Records(), 0, 0, 0
    while at < len(stream):
        piece = stream[at : at + pieces[turn % len(pieces)]]
        turn += 1
        while piece:
            taken = counter.take(piece)
            assert taken
            assert counter.begun <= MOST
            counted += counter.begun
            piece, at = piece[taken:], at + taken

    assert counted == len(sizes)


@given(sizes=st.lists(st.integers(0, 40), min_size=MOST + 1, max_size=3 * MOST))
def test_what_is_too_much_for_a_call_is_left_from_a_record_on(sizes: list[int]) -> None:
    """Of more records than one call takes the first ones are taken, whole."""
    taken = Records().take(b"".join(map(record, sizes)))

    assert taken == sum(5 + size for size in sizes[:MOST])


def test_records_of_one_byte_pay_for_themselves() -> None:
    """One keystroke a record, hundreds of thousands of them without a pause, is never too much."""
    counter = Records()
    for _ in range(300_000 // MOST):
        assert counter.take(record(18) * MOST)
        assert counter.paid(MOST)


def test_a_byte_between_two_floods_buys_one_record() -> None:
    """What is without payload adds up over the life of a connection, whatever comes in between."""
    counter, flood, rounds = Records(), record(22) * 10, 0
    while counter.take(flood) and counter.paid(0) and rounds < 1000:
        assert counter.take(record(18))
        assert counter.paid(1)
        rounds += 1

    assert records._BURST // 10 <= rounds < 2 * records._BURST // 10


def test_time_pays_for_some_but_not_for_a_hoard() -> None:
    """A key update now and then is for nothing for ever, and hours of silence earn no more than one burst."""
    counter = Records()
    for _ in range(10 * records._BURST):
        counter._since -= 1 / records._REGAINED
        counter.take(record(22))
        assert counter.paid(0)

    counter._since -= 36_000
    sent = 0
    while sent < 10_000 and counter.take(record(22)) and counter.paid(0):
        sent += 1
    assert sent <= 2 * records._BURST
