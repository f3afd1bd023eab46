"""Who has to go when too many are not admitted yet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ambassador.server.pending import Pending, network_of

PLACES = 40
SPEAKING = 10


class Client:
    """A client that is to be admitted."""

    def __init__(self, crowd: Crowd, host: str) -> None:
        self.network = network_of(host)
        self.crowd = crowd
        self.refused = False

    def crowded_out(self) -> None:
        """Go."""
        self.refused = True
        self.crowd.pending.remove(self)
        self.crowd.live.remove(self)

    def speaks(self) -> Client:
        """Send something."""
        self.crowd.pending.speaks(self)
        return self


class Crowd:
    """Clients of a process with so many places, and relays that hold some."""

    def __init__(self, relays: int = 0) -> None:
        self.live: list[object] = [None] * relays
        connections = SimpleNamespace(limit=PLACES, live=self.live)
        self.pending = Pending(SPEAKING, connections)  # type: ignore[arg-type]  # as much as it asks for

    def come(self, host: str = "192.0.2.1") -> Client:
        """Come as a client that says nothing yet."""
        client = Client(self, host)
        self.live.append(client)
        self.pending.add(client)
        assert not client.refused, "the newcomer never goes"
        return client

    def many(self, count: int, host: str = "192.0.2.1") -> list[Client]:
        """Come as many."""
        return [self.come(host) for _ in range(count)]


def test_who_has_sent_something_stays_while_silent_ones_come() -> None:
    """However many silent ones come, of their own network too, whoever has begun its handshake goes on."""
    crowd = Crowd()
    true = [crowd.come().speaks() for _ in range(SPEAKING)]
    silent = crowd.many(1000)
    assert not any(client.refused for client in true)
    assert [client.refused for client in silent] == [True] * (1000 - 16) + [False] * 16


def test_a_silent_one_of_another_network_outlives_the_many_of_one() -> None:
    """A far client whose first bytes are under way is not crowded out by silent ones of one network, however many."""
    crowd = Crowd()
    far = crowd.come("198.51.100.1")
    crowd.many(1000)
    assert not far.refused


def test_the_network_that_has_most_pays_for_too_many_handshakes() -> None:
    """Beyond the bound of those who have sent something, one of the network with most of them goes: its oldest."""
    crowd = Crowd()
    true = [crowd.come(f"198.51.{number}.1").speaks() for number in range(3)]
    many = [client.speaks() for client in crowd.many(SPEAKING)]
    assert not any(client.refused for client in true)
    assert [client.refused for client in many] == [True] * 3 + [False] * 7


@pytest.mark.parametrize("relays", [0, 10, 30, 37])
def test_the_unproven_leave_a_third_of_what_relays_leave(relays: int) -> None:
    """Whatever relays hold, silent clients never take the last places."""
    crowd = Crowd(relays)
    crowd.many(100)
    assert len(crowd.live) - relays == (PLACES - relays) * 2 // 3


def test_one_at_a_time_has_its_chance_when_there_is_hardly_any_room() -> None:
    """With a single place left whoever takes it is not refused for want of room."""
    assert not Crowd(relays=PLACES - 1).come().refused


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.250", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%lo", "fe80::2", True),
    ],
)
def test_networks(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - a case
    """IPv4 addresses count by their /24, IPv6 addresses by their /64."""
    assert (network_of(one) == network_of(other)) is same
