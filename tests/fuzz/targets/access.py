"""Who may ask what of the admin server: the input is a method, a sender, a token and a target, and header fields."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

from ambassador.admin.access import refusal
from ambassador.admin.refusals import path_of

WORDS = (
    b"GET", b"POST", b"DELETE", b" 127.0.0.1 ", b" 10.0.0.7 ", b" ::ffff:127.0.0.1 ", b"0123456789abcdef", b"Host: ",
    b"Origin: ", b"Sec-Fetch-Site: ", b"Authorization: ", b"Bearer ", b"localhost", b"[::1]", b":9901", b"http://",
    b"evil.example", b"same-origin", b"cross-site", b"null", b"\n", b"\xff",
)  # fmt: skip
LONGEST = 400


def check(data: bytes) -> None:
    """Decide, and make sure that nothing is changed by who may not."""
    # As aiohttp decodes header fields.
    first, *lines = data.decode("utf-8", "surrogateescape").split("\n")
    method, _, rest = first.partition(" ")
    peer, _, rest = rest.partition(" ")
    token, _, path = rest.partition(" ")
    written = path_of(path)
    assert written.isprintable()
    assert "?" not in written
    assert len(written) <= 100
    headers = {name: value.strip() for name, mark, value in (line.partition(":") for line in lines) if mark}
    if token and not re.fullmatch("[!-~]{16,}", token):
        return  # no setting: config.parsers.admin_token
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return  # no socket's
    refused = refusal(method, peer, headers, token=token or None)
    if refused is not None:
        assert refused.status in {401, 403}
        assert not token or token not in refused.reason
        return
    local = ((address.version == 6 and address.ipv4_mapped) or address).is_loopback
    if local and "Host" in headers:
        host = urllib.parse.urlsplit(f"//{headers['Host']}").hostname or ""
        assert host == "localhost" or ipaddress.ip_address(host)
    if method in {"GET", "HEAD", "OPTIONS"}:
        return
    assert headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    assert headers.get("Origin", f"://{headers.get('Host')}").endswith(f"://{headers.get('Host')}")
    assert local or (token and headers["Authorization"].split()[1:] == [token])
