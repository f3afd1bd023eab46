"""A linked container's alias in the hosts file is followed: its variable's address goes stale."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from ambassador.config.routes import Endpoint
from ambassador.net.address import Address
from ambassador.upstream.resolve import HostsFile
from tests.support.dials import dialling
from tests.support.net import LOCAL
from tests.support.servers import hold

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.conftest import Serve


def linked(host: str, port: int) -> Endpoint:
    """Return the endpoint that Docker's link `redis` makes, with the address that its variable has."""
    return Endpoint(Address(host, port), hosts_alias="redis")


async def test_the_alias_beats_the_address_of_the_variable(serve: Serve, tmp_path: Path) -> None:
    """With a squatter at the old address, a dial goes to where the hosts file has the alias."""
    hosts = tmp_path / "hosts"
    squatter = serve(hold)
    hosts.write_text("127.0.0.1 localhost\n127.0.0.3\tredis 3f4c0ffee source\n")
    with socket.create_server(("127.0.0.3", squatter.port)):
        async with dialling(hosts) as on:
            upstream = on.upstream(linked(LOCAL, squatter.port))
            assert await on.call(upstream).answered() == f"127.0.0.3:{squatter.port}"
        assert not squatter.accepted


async def test_a_change_of_the_file_moves_the_next_dial(serve: Serve, tmp_path: Path) -> None:
    """When Docker rewrites the alias, in place or by another file, the next dial goes to the new address."""
    hosts = tmp_path / "hosts"
    server = serve(hold)
    with socket.create_server(("127.0.0.3", server.port)), socket.create_server(("127.0.0.4", server.port)):
        async with dialling(hosts) as on:
            upstream = on.upstream(linked("192.0.2.1", server.port))
            for address in ("127.0.0.3", "127.0.0.4", LOCAL):
                hosts.write_text(f"{address} redis\n")
                assert await on.call(upstream).answered() == f"{address}:{server.port}"
            other = tmp_path / "other"
            other.write_text("127.0.0.3 redis\n")
            os.replace(other, hosts)
            assert await on.call(upstream).answered() == f"127.0.0.3:{server.port}"


async def test_without_the_alias_the_variable_stands(serve: Serve, tmp_path: Path) -> None:
    """Where the hosts file is missing, or knows nothing of the alias, the variable's own address is dialled."""
    hosts = tmp_path / "hosts"
    server = serve(hold)
    async with dialling(hosts) as on:
        upstream = on.upstream(linked(LOCAL, server.port))
        assert await on.call(upstream).answered() == f"{LOCAL}:{server.port}"
        hosts.write_text("127.0.0.9 rediss redis-2\n# 127.0.0.9 redis\n")
        assert await on.call(upstream).answered() == f"{LOCAL}:{server.port}"


async def test_a_file_caught_empty_is_read_again(serve: Serve, tmp_path: Path) -> None:
    """Docker empties the file and then writes it: a dial in between waits for the alias instead of the squatter."""
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    squatter = serve(hold)
    with socket.create_server(("127.0.0.3", squatter.port)):
        async with dialling(hosts) as on:
            caller = on.call(on.upstream(linked(LOCAL, squatter.port)))
            await asyncio.sleep(0)
            hosts.write_text("127.0.0.3 redis\n")
            assert await caller.answered() == f"127.0.0.3:{squatter.port}"


async def test_several_addresses_of_an_alias_are_tried_in_order(serve: Serve, tmp_path: Path) -> None:
    """An alias with two addresses is dialled at the second where the first refuses."""
    hosts = tmp_path / "hosts"
    server = serve(hold)
    hosts.write_text("127.0.0.5 redis\n127.0.0.1 redis\n")
    async with dialling(hosts) as on:
        assert await on.call(on.upstream(linked("192.0.2.1", server.port))).answered() == f"{LOCAL}:{server.port}"


def test_names_do_not_know_capitals(tmp_path: Path) -> None:
    """An alias is found whatever its capitals, and an unknown one has no addresses."""
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 Redis\nfd00::1 redis\n")
    file = HostsFile(str(hosts))
    assert file.addresses("REDIS") == ("10.0.0.1", "fd00::1")
    assert file.addresses("other") == ()


def test_a_settled_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has not changed for a while is not read again, and one that changes is."""
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 redis\n")
    os.utime(hosts, (1, 1))
    file = HostsFile(str(hosts))
    assert file.addresses("redis") == ("10.0.0.1",)
    hosts.write_bytes(b"10.0.0.2 redis\n")
    os.utime(hosts, (1, 1))
    assert file.addresses("redis") == ("10.0.0.1",)
    os.utime(hosts, (2, 2))
    assert file.addresses("redis") == ("10.0.0.2",)


def test_bytes_that_are_no_text_are_no_error(tmp_path: Path) -> None:
    """A hosts file with bytes that are not UTF-8 is still read."""
    hosts = tmp_path / "hosts"
    hosts.write_bytes(b"\xff\xfe\n10.0.0.1 redis\n10.0.0.999 bad\n")
    assert HostsFile(str(hosts)).addresses("redis") == ("10.0.0.1",)


def test_a_carriage_return_within_a_line_ends_it_for_nobody(tmp_path: Path) -> None:
    """A comment goes on behind a carriage return in the file, so that no address comes out of it."""
    path = tmp_path / "hosts"
    path.write_bytes(b"# old:\r127.0.0.3 redis\n127.0.0.2 redis\r\n")

    assert HostsFile(str(path)).addresses("redis") == ("127.0.0.2",)
