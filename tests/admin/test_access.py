"""Who may ask what."""

from __future__ import annotations

import pytest

from ambassador.admin.access import refusal

TOKEN = "0123456789abcdef"  # noqa: S105 - one that nobody uses
ELSEWHERE = "10.0.0.7"


def status(method: str, peer: str, token: str | None = TOKEN, **headers: str) -> int | None:
    """Return the status of a refusal; None when there is none."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    refused = refusal(method, peer, fields, token=token)
    return refused and refused.status


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1:9901", "localhost", "LocalHost:9901", "[::1]:9901", "10.0.0.3", "[::1]", "localhost:"]
)
def test_anything_may_be_asked_from_this_machine_by_address(peer: str, host: str) -> None:
    """A client on a loopback address that asks by address, or as localhost, may do everything."""
    assert status("GET", peer, Host=host) is None
    assert status("POST", peer, None, Host=host) is None
    assert status("DELETE", peer) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9901",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "",
        "[::1].evil.example",
        "[::1]evil:80",
        "127.0.0.1:80:evil",
        "localhost:evil",
        "localhost:80@evil.example",
        "[::1",
        "::1]",
        "[[::1]]",
        "[localhost]",
        "[127.0.0.1]",
        "[evil.example]",
        "127.0.0.1:\u0661",
        "127.0.0.1:80\n",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_resolves_to_this_machine_gets_nothing(host: str, method: str) -> None:
    """DNS rebinding reads nothing and changes nothing, for a browser sends the name that it looked up."""
    assert status(method, "127.0.0.1", Host=host, Authorization=f"Bearer {TOKEN}") == 403


def test_reading_from_elsewhere_needs_nothing() -> None:
    """Prometheus on another machine asks by whatever name it knows, without a token."""
    assert status("GET", ELSEWHERE, None, Host="ambassador:9901") is None
    assert status("HEAD", ELSEWHERE, None, Host="ambassador:9901") is None


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "BREW"])
def test_changing_from_elsewhere_needs_the_token(method: str) -> None:
    """From another machine only the bearer of the token may change something, and nobody where there is none."""
    assert status(method, ELSEWHERE, Authorization=f"Bearer {TOKEN}") is None
    assert status(method, ELSEWHERE, Authorization=f"bearer  {TOKEN} ") is None
    assert status(method, ELSEWHERE) == 401
    assert status(method, ELSEWHERE, None) == 403
    assert status(method, ELSEWHERE, None, Authorization="Bearer None") == 403


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \udcff"]
)
def test_only_the_very_token_will_do(given: str) -> None:
    """Nothing but the whole token, under the right scheme, is taken for it."""
    assert status("POST", ELSEWHERE, Authorization=given) == 401


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:9901"},
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", ELSEWHERE])
def test_a_page_of_another_origin_changes_nothing(foreign: dict[str, str], peer: str) -> None:
    """A request that a foreign page caused is refused, with the token too."""
    assert status("POST", peer, Host="127.0.0.1:9901", Authorization=f"Bearer {TOKEN}", **foreign) == 403


def test_our_own_page_may_change_things() -> None:
    """What a browser sends for our own page, on this machine, is let through."""
    own = {"Host": "127.0.0.1:9901", "Origin": "http://127.0.0.1:9901", "Sec_Fetch_Site": "same-origin"}
    assert status("DELETE", "127.0.0.1", None, **own) is None
    assert status("POST", "127.0.0.1", None, Host="localhost:9901", Sec_Fetch_Site="none") is None


def test_whoever_has_no_address_is_a_stranger() -> None:
    """A client that is gone already, so that its address is unknown, is not taken for a local one."""
    assert status("POST", "", None) == 403
