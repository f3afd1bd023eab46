"""Names to addresses, off the event loop."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ambassador.config.routes import Endpoint
from ambassador.net.address import Address
from ambassador.upstream import resolve as resolve_module
from ambassador.upstream.resolve import HostsFile, Resolver, candidates
from tests.support.deadline import soon

if TYPE_CHECKING:
    from pathlib import Path

Answers = list[tuple[tuple[str, ...], str | None]]


def entry(address: str) -> tuple[object, ...]:
    """Return what getaddrinfo says of *address*."""
    return (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))


async def look_up(resolver: Resolver, name: str) -> tuple[tuple[str, ...], str | None]:
    """Return the answer for *name*."""
    answers: Answers = []
    resolver.lookup(name, lambda found, reason: answers.append((found, reason)))
    assert answers == []  # never before it returns
    await soon(lambda: answers)
    return answers[0]


@pytest.mark.parametrize(
    ("host", "alias", "addresses", "by"),
    [
        ("10.0.0.9", "redis", ("10.0.0.7", "fd00::7"), "/etc/hosts, alias redis"),
        ("redis.example", "redis", ("10.0.0.7", "fd00::7"), "/etc/hosts, alias redis"),
        ("10.0.0.9", "gone", ("10.0.0.9",), "address"),
        ("redis.example", "gone", ("10.0.0.1",), "name service"),
        ("redis", None, ("10.0.0.1",), "name service"),
    ],
)
def test_the_hosts_file_comes_before_the_address_and_the_name_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, alias: str | None, addresses: tuple[str, ...], by: str
) -> None:
    """An alias that the hosts file has decides; then an address stands for itself; only then a name is asked for."""
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.7 redis\nfd00::7 redis\n")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry("10.0.0.1")])
    assert candidates(Endpoint(Address(host, 6379), alias), HostsFile(str(hosts))) == (addresses, by)


async def test_addresses_come_in_order_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has every address once, in the order of the name service."""
    found = [entry("10.0.0.2"), entry("fd00::1"), entry("10.0.0.2"), entry("10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    answer = await look_up(Resolver(asyncio.get_running_loop()), "x")
    assert answer == (("10.0.0.2", "fd00::1", "10.0.0.1"), None)


async def test_who_asks_while_a_lookup_is_in_flight_shares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred callers of one silent name are one thread, and all get its answer; another name does not wait."""
    silent = threading.Event()
    asked = []

    def service(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(name)
        if name == "slow":
            silent.wait(60)
        return [entry("10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", service)
    resolver = Resolver(asyncio.get_running_loop())
    answers: Answers = []
    for _ in range(100):
        resolver.lookup("slow", lambda found, reason: answers.append((found, reason)))
    try:
        assert await look_up(resolver, "quick") == (("10.0.0.1",), None)
        assert answers == []
    finally:
        silent.set()
    await soon(lambda: len(answers) == 100)
    assert sorted(asked) == ["quick", "slow"]
    await look_up(resolver, "slow")
    assert asked.count("slow") == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "label too long"),
    ],
)
async def test_a_failed_lookup_says_why(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup that fails answers with no address and with the reason in words."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    found, reason = await look_up(Resolver(asyncio.get_running_loop()), "x")
    assert found == ()
    assert reason is not None
    assert said in reason


def test_an_answer_after_the_loop_is_closed_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers when the event loop is gone causes no error in its thread."""
    silent = threading.Event()

    def service(*_: object, **__: object) -> list[object]:
        silent.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", service)
    loop = asyncio.new_event_loop()
    Resolver(loop).lookup("late", lambda *_: None)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "lookup late")
    assert thread.daemon
    loop.close()
    silent.set()
    thread.join(30)
    assert not thread.is_alive()


async def test_a_lost_packet_delays_only_those_who_were_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks while a lookup hangs asks anew, a few times at most; the first answer serves all, late ones nobody."""
    monkeypatch.setattr(resolve_module, "_ASK_AGAIN", 0.0)
    hung = threading.Event()
    asked: list[int] = []

    def service(*_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(len(asked))
        if len(asked) < 3:
            hung.wait(60)
            return [entry("10.0.0.9")]
        return [entry("10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", service)
    resolver = Resolver(asyncio.get_running_loop())
    answers: Answers = []

    def was_asked(times: int) -> bool:
        return len(asked) >= times

    for count in (1, 2, 3):
        resolver.lookup("x", lambda found, reason: answers.append((found, reason)))
        await soon(functools.partial(was_asked, count))
    await soon(lambda: len(answers) == 3)
    assert answers == [(("10.0.0.1",), None)] * 3
    hung.set()
    assert await look_up(resolver, "x") == (("10.0.0.1",), None)
    await soon(lambda: not [thread for thread in threading.enumerate() if thread.name == "lookup x"])
    assert len(answers) == 3


async def burst(resolver: Resolver, count: int) -> list[tuple[str, ...]]:
    """Return what so many get who ask for a name at once."""
    answers: Answers = []
    for _ in range(count):
        resolver.lookup("pool", lambda found, reason: answers.append((found, reason)))
    await soon(lambda: len(answers) == count)
    return [found for found, _ in answers]


async def test_those_who_share_a_lookup_are_spread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of six who share an answer each address of a family is first for as many, and no family leaves its place."""
    found = ["fd00::1", "fd00::2", "10.0.0.1", "10.0.0.2", "10.0.0.3"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry(address) for address in found])
    resolver = Resolver(asyncio.get_running_loop(), hosts=HostsFile(str(tmp_path / "none")))
    answers = await burst(resolver, 6)
    assert answers[0] == tuple(found)
    assert answers[1] == ("fd00::2", "fd00::1", "10.0.0.2", "10.0.0.3", "10.0.0.1")
    for place, most in ((0, 3), (2, 2)):
        assert {[answer[place] for answer in answers].count(address) for address in found} == {0, most}
    assert await burst(resolver, 1) == [tuple(found)]


async def test_the_order_of_the_hosts_file_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name that the hosts file has is for its first address first, however many ask at once."""
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.2 pool\n10.0.0.1 pool\n")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry("10.0.0.2"), entry("10.0.0.1")])
    resolver = Resolver(asyncio.get_running_loop(), hosts=HostsFile(str(hosts)))
    assert await burst(resolver, 3) == [("10.0.0.2", "10.0.0.1")] * 3
