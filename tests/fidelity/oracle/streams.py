"""What is not an ending alone: streams both ways, silence, back-pressure, and endings on top of endings."""

from __future__ import annotations

from functools import partial
from itertools import chain

from oracle.scenario import (
    BULK,
    HEAVY,
    SMALL,
    Amount,
    Scenario,
    Script,
    await_bytes,
    await_ending,
    await_error,
    both_ways,
    close,
    end_of_stream,
    exchange,
    fill,
    hear_nothing,
    joined,
    pause,
    read,
    read_to_end,
    reset,
    send,
    send_until_refused,
    tell,
    wait,
)

# Around the sizes of segments, pages, pipes and the buffers that relays use.
_ODD_SIZES = (1, 2, 3, 1447, 1448, 1449, 4095, 4096, 4097, 16384, 16385, 65535, 65536, 65537, 131_071, 262_145)
# Both ends' buffers are small, so that a sender fills them; all that it sent has to arrive.
_stalling = partial(both_ways, narrow=True, amount=Amount.ALL)


def streams() -> tuple[Scenario, ...]:
    """Return all scenarios of this kind."""
    return tuple(chain(_flows(), _silences(), _stalls(), _half_closes(), _resets()))


def _flows() -> tuple[Scenario, ...]:
    turns = tuple(chain.from_iterable((send(size), read(size)) for size in _ODD_SIZES))
    answers = tuple(chain.from_iterable((read(size), send(size)) for size in _ODD_SIZES))
    single: Script = (send(1), read(1)) * 300
    echo: Script = (read(1), send(1)) * 300
    ask: Script = (end_of_stream(), read_to_end())
    reply: Script = (read_to_end(), close())
    return (
        joined("server speaks first", (read(SMALL), send(SMALL), *ask), (send(SMALL), read(SMALL), *reply)),
        *both_ways("1-byte writes", (send(3000, 1), read(3000), *ask), (read(3000), send(3000, 1), *reply)),
        *both_ways("1-byte turns", (*single, *ask), (*echo, *reply)),
        *both_ways("1-byte reads", (send(20_000), *ask), (read_to_end(1), close())),
        *both_ways("odd sizes in turns", (*turns, *ask), (*answers, *reply)),
        *both_ways("odd sizes in one stream", (*map(send, _ODD_SIZES), *ask), (read_to_end(7919), close())),
        joined("full duplex, small", (exchange(SMALL, SMALL), *ask), (exchange(SMALL, SMALL), *reply)),
        joined("full duplex, bulk", (exchange(BULK, BULK), *ask), (exchange(BULK, BULK), *reply)),
        joined("full duplex, each ends its own stream", (exchange(BULK),), (exchange(BULK),)),
        *both_ways("full duplex, one way much longer", (exchange(SMALL),), (exchange(5 * BULK),)),
        joined("100 MB each way", (exchange(HEAVY, HEAVY), *ask), (exchange(HEAVY, HEAVY), *reply), heavy=True),
    )


def _silences() -> tuple[Scenario, ...]:
    return (
        *both_ways(
            "answer 2 s after a half-close",
            (send(SMALL), end_of_stream(), hear_nothing(2), tell("heard"), read_to_end()),
            (read_to_end(), wait("heard"), send(BULK), close()),
        ),
        *both_ways(
            "answer in pieces after a half-close and 3 s of silence",
            (end_of_stream(), hear_nothing(3), tell("heard"), read_to_end()),
            (read_to_end(), wait("heard"), *(send(SMALL), pause(0.3)) * 3, close()),
        ),
        *both_ways(
            "3 s of silence amid a connection",
            (send(SMALL), read(SMALL), hear_nothing(3), tell("heard"), read(SMALL), end_of_stream(), read_to_end()),
            (read(SMALL), send(SMALL), wait("heard"), send(SMALL), read_to_end(), close()),
        ),
    )


def _stalls() -> tuple[Scenario, ...]:
    go: Script = (tell("full"), wait("go"))
    return (
        *_stalling(
            "reader stalls for 1.5 s and goes on",
            (fill(), *go, send(BULK), end_of_stream(), read_to_end()),
            (wait("full"), pause(1.5), tell("go"), read_to_end(), close()),
        ),
        # Longer than a relay may wait with a reset for a reader that does not read: an orderly end waits for ever.
        *_stalling(
            "close with bytes queued, the reader stalls for 7 s and goes on",
            (fill(), close(), tell("closed")),
            (wait("closed"), pause(7), read_to_end(), close()),
        ),
        *_stalling(
            "half-close with bytes queued, both readers stall for 7 s and go on",
            (fill(), end_of_stream(), tell("ended"), wait("answered"), pause(7), read_to_end(), close()),
            (wait("ended"), pause(7), read_to_end(), fill(), close(), tell("answered")),
        ),
        joined(
            "both readers stall and go on",
            (fill(), tell("client full"), wait("server full"), exchange(BULK)),
            (fill(), tell("server full"), wait("client full"), exchange(BULK)),
            narrow=True,
            amount=Amount.ALL,
        ),
        *_stalling(
            "half-close while the other direction is full",
            (wait("full"), send(SMALL), end_of_stream(), wait("heard"), read_to_end()),
            (fill(), tell("full"), read_to_end(), tell("heard"), close()),
        ),
        *_stalling(
            "a message while the other direction is full",
            (wait("full"), send(SMALL), wait("heard"), exchange(SMALL)),
            (fill(), tell("full"), read(SMALL), tell("heard"), exchange(SMALL)),
        ),
    )


def _half_closes() -> tuple[Scenario, ...]:
    return (
        joined("both half-close at once", (end_of_stream(), read_to_end()), (end_of_stream(), read_to_end())),
        *both_ways(
            "half-close, then close without reading the answer",
            (send(SMALL), end_of_stream(), await_bytes(), close()),
            (read_to_end(), send(SMALL), await_error()),
        ),
        *both_ways(
            "half-close, then close before an answer",
            (send(SMALL), end_of_stream(), wait("heard"), close(), tell("closed")),
            (read_to_end(), tell("heard"), wait("closed"), send_until_refused(SMALL)),
        ),
        *both_ways(
            "half-close, then close before an answer in bulk",
            (send(SMALL), end_of_stream(), wait("heard"), close(), tell("closed")),
            (read_to_end(), tell("heard"), wait("closed"), send_until_refused(BULK)),
        ),
    )


def _resets() -> tuple[Scenario, ...]:
    return (
        *both_ways(
            "reset after the end of stream in the same direction",
            (send(SMALL), end_of_stream(), wait("heard"), reset()),
            (read_to_end(), tell("heard"), await_error()),
        ),
        *both_ways(
            "reset at once after the end of the stream",
            (send(SMALL), end_of_stream(), reset(), tell("over")),
            (wait("over"), read_to_end(), await_error()),
        ),
        *both_ways(
            "reset instead of an answer",
            (read_to_end(), reset()),
            (send(SMALL), end_of_stream(), read_to_end()),
        ),
        *both_ways(
            "reset amid an answer",
            (read_to_end(), send(BULK), reset()),
            (send(SMALL), end_of_stream(), read_to_end()),
            amount=Amount.ACKNOWLEDGED,
        ),
        *both_ways(
            "reset by a reader, small",
            (read(SMALL), reset()),
            (send(SMALL), read_to_end()),
        ),
        *both_ways(
            "reset by a reader, amid bulk",
            (read(100_003), reset()),
            (send_until_refused(BULK), read_to_end()),
        ),
        *both_ways(
            "reset by a stalled reader",
            (wait("full"), reset()),
            (fill(), tell("full"), await_ending(), read_to_end()),
            narrow=True,
        ),
        *both_ways(
            "reset of a sender whom back-pressure has paused, its reader stalls on",
            (fill(), reset(), tell("reset")),
            (wait("reset"), await_ending(), read_to_end()),
            narrow=True,
            amount=Amount.SOME,
        ),
        *both_ways(
            "answer before the question's end, then close with the rest unread",
            (read(100_003), send(SMALL), close()),
            (send_until_refused(BULK), read_to_end()),
            amount=Amount.ALL,
        ),
    )
