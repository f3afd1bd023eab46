"""What happens while the relay still dials, or cannot."""

from __future__ import annotations

from itertools import chain

from oracle.scenario import (
    BULK,
    SMALL,
    Amount,
    Scenario,
    Script,
    accept,
    accept_nobody,
    close,
    connect,
    end_of_stream,
    fill,
    listen,
    occupy,
    pause,
    read,
    read_to_end,
    release,
    reset,
    send,
    send_until_refused,
    stop_listening,
    tell,
    wait,
)

# A relay has dialled by then at least once, and was refused.
_LATE = 0.4
_REFUSED = "a relay has accepted before it knows; the contract answers by a reset"
_LEFT = "a relay may end a dial for which nobody waits any more; the contract says that it does"


def dials() -> tuple[Scenario, ...]:
    """Return all scenarios of this kind."""
    return (*_slow_accept(), *_slow_dial(), *_at_once(), *_apart())


def _slow_accept() -> tuple[Scenario, ...]:
    """Upstream's kernel has the connection, its application does not look at it yet."""
    ready: Script = (listen(), tell("listening"), wait("begun"), accept())
    begin: Script = (wait("listening"), connect())
    answer: Script = (read_to_end(), send(SMALL), close())
    return (
        Scenario(
            "early data before the accept",
            (*begin, send(SMALL), tell("begun"), read(SMALL), end_of_stream(), read_to_end()),
            (*ready, read(SMALL), send(SMALL), read_to_end(), close()),
        ),
        Scenario(
            "early data and end of stream before the accept",
            (*begin, send(SMALL), end_of_stream(), tell("begun"), read_to_end()),
            (*ready, *answer),
        ),
        Scenario(
            "early bulk before the accept",
            (*begin, fill(), tell("begun"), end_of_stream(), read_to_end()),
            (*ready, *answer),
            amount=Amount.ALL,
            narrow=True,
        ),
    )


def _slow_dial() -> tuple[Scenario, ...]:
    """Upstream refuses at first, or its accept queue is full and drops the dial, and comes up later."""
    begin: Script = (wait("listening"), connect())
    late: Script = (wait("begun", unless_direct=True), pause(_LATE), listen(), accept())
    dropped: Script = (
        occupy(),
        tell("listening"),
        wait("begun", unless_direct=True),
        pause(_LATE),
        release(),
        accept(),
    )
    answer: Script = (read_to_end(), send(SMALL), close())
    leave: Script = (end_of_stream(), read_to_end())
    stay: Script = (read_to_end(), close())
    bulk: Script = (send(50_000), tell("begun"), send(BULK), read(SMALL), *leave)
    clients: dict[str, tuple[Script, Script]] = {
        "data": ((send(SMALL), tell("begun"), read(SMALL), *leave), (read(SMALL), send(SMALL), *stay)),
        "end of stream": ((end_of_stream(), tell("begun"), read_to_end()), answer),
        "data and end of stream": ((send(SMALL), end_of_stream(), tell("begun"), read_to_end()), answer),
        "bulk": (bulk, (read(50_000 + BULK), send(SMALL), *stay)),
        "data and close": ((send(SMALL), close(), tell("begun")), (read_to_end(), send_until_refused(SMALL))),
        "server first": ((tell("begun"), read(SMALL), *leave), (send(SMALL), *stay)),
    }
    return tuple(
        chain.from_iterable(
            (
                Scenario(f"{what} while the upstream is not up", (connect(), *client), (*late, *server)),
                Scenario(f"{what} while the upstream drops the dial", (*begin, *client), (*dropped, *server)),
            )
            for what, (client, server) in clients.items()
        )
    )


def _at_once() -> tuple[Scenario, ...]:
    """Upstream ends the connection as soon as it is there."""
    begin: Script = (wait("listening"), connect(), tell("connected"))
    ready: Script = (listen(), tell("listening"), accept(), wait("connected"))
    return (
        Scenario("upstream closes on accept", (*begin, read_to_end()), (*ready, close())),
        Scenario("upstream resets on accept", (*begin, read_to_end()), (*ready, reset())),
        Scenario("upstream greets and closes on accept", (*begin, read_to_end()), (*ready, send(SMALL), close())),
        Scenario("upstream greets and resets on accept", (*begin, read_to_end()), (*ready, send(SMALL), reset())),
        Scenario(
            "upstream stops listening before the accept",
            (*begin, tell("begun"), read_to_end()),
            (listen(), tell("listening"), wait("begun"), stop_listening()),
        ),
        Scenario(
            "client closes at once",
            (*begin, close()),
            (*ready, read_to_end(), send_until_refused(SMALL)),
        ),
        Scenario(
            "client sends and closes at once",
            (*begin, send(SMALL), close()),
            (*ready, read_to_end(), send_until_refused(SMALL)),
        ),
    )


def _apart() -> tuple[Scenario, ...]:
    """What a relay cannot do as a direct connection would."""
    refused = (("connected", "received", "reset: ECONNRESET"), ())
    nobody = ((("connected",), ("nobody came",)),)
    gone = (*nobody, (("connected",), ("connected", "received", "reset: ECONNRESET")))
    begin: Script = (wait("listening"), connect())
    return (
        *(
            Scenario(
                f"upstream refuses {what}",
                (connect(), *script, read_to_end()),
                (),
                impatient=True,
                apart=_REFUSED,
                allowed=(refused,),
            )
            for what, script in (
                ("a silent client", ()),
                ("a client that has sent", (send(SMALL),)),
                ("a client that has half-closed", (send(SMALL), end_of_stream())),
            )
        ),
        Scenario(
            "client resets while the upstream is not up",
            (connect(), send(SMALL), reset(), tell("gone")),
            (wait("gone"), pause(_LATE), listen(), accept_nobody(1.5)),
            apart=_LEFT,
            allowed=nobody,
        ),
        Scenario(
            "client resets while the upstream drops the dial",
            (*begin, send(SMALL), reset(), tell("gone")),
            (occupy(), tell("listening"), wait("gone"), pause(_LATE), release(), accept_nobody(2.5)),
            apart=_LEFT,
            allowed=nobody,
        ),
        Scenario(
            "client resets at once",
            (*begin, send(SMALL), reset()),
            (listen(), tell("listening"), accept_nobody(1.5)),
            apart=_LEFT,
            allowed=gone,
        ),
    )
