"""Who does not get through a tunnel, and what each end says of it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.tunnel import CHUNK, Codec, HandshakeError, Tunnel, contexts, generate, keys
from tests.tunnel.ends import plain_context, source_of, stranger_codec, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Refusals = Callable[[Codec, Codec], tuple[str, str]]

KEY = keys.parse(generate())[0]


@pytest.fixture
def key_ends(key_folder: Any) -> tuple[Tunnel, Tunnel]:
    """Return a target's tunnel and a source's with one key."""
    return contexts.key_tunnel([KEY], server_side=False), contexts.key_tunnel([KEY], server_side=True)


def test_one_key_lets_in(key_ends: tuple[Tunnel, Tunnel], refusals: Refusals) -> None:
    """Two ends with one key talk, over TLS 1.3, with a cipher on SHA-256 and ephemeral Diffie-Hellman."""
    target, source = (tunnel.codec() for tunnel in key_ends)

    assert refusals(target, source) == ("", "")
    name, version, _ = target._tls.cipher() or ("", "", 0)
    assert (name[-6:], version) == ("SHA256", "TLSv1.3")
    assert target._tls.getpeercert(binary_form=True) is None


@pytest.mark.parametrize("count", [1, 3])
def test_an_unknown_key_is_refused(key_ends: tuple[Tunnel, Tunnel], refusals: Refusals, count: int) -> None:
    """A source that does not have the target's first key lets nobody in, whatever other keys there are."""
    others = [keys.parse(generate())[0] for _ in range(count)]
    source = contexts.key_tunnel(others, server_side=True)
    target = contexts.key_tunnel([KEY, *others], server_side=False)

    assert refusals(target.codec(), source.codec()) == (
        "the peer refused: handshake failure", "the peer offers no known key",
    )  # fmt: skip


def test_a_key_under_the_name_of_another_is_refused(key_ends: tuple[Tunnel, Tunnel], refusals: Refusals) -> None:
    """Whoever read a key's name off the wire, but has not the key, is not let in."""
    context = contexts._context(server_side=False)
    context.set_psk_client_callback(lambda _: (keys.identity(KEY), bytes(32)))  # type: ignore[attr-defined, unused-ignore]  # 3.13
    thief = stranger_codec(context, server_side=False)

    told = refusals(thief, key_ends[1].codec())

    assert told[0].startswith("the peer refused: ")
    assert told[1] == "the peer does not hold the key it names"


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("certified", [False, True])
def test_a_client_without_the_key_is_refused(
    key_ends: tuple[Tunnel, Tunnel], authority: Any, refusals: Refusals, newest: ssl.TLSVersion, certified: bool  # noqa: FBT001 - a parameter
) -> None:  # fmt: skip
    """A TLS client with no key, or a certificate instead, or TLS 1.2, is not let in by a key-mode source."""
    context = plain_context(server_side=False)
    context.maximum_version = newest
    if certified:
        files = authority.files("target.example", server_side=False)
        context.load_cert_chain(files.certificate, files.private_key)

    told = refusals(stranger_codec(context, server_side=False), key_ends[1].codec())

    assert told[0].startswith("the peer refused: ")
    assert told[1] == {
        ssl.TLSVersion.TLSv1_2: "the peer does not speak TLS 1.3",
        ssl.TLSVersion.TLSv1_3: "the peer offers no known key",
    }[newest]  # fmt: skip


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_man_in_the_middle_with_a_certificate_is_refused(
    key_ends: tuple[Tunnel, Tunnel], authority: Any, refusals: Refusals, newest: ssl.TLSVersion
) -> None:
    """A key-mode target gives up on whoever answers with a certificate, and encrypts nothing for it."""
    files = authority.files("source.example", server_side=True)
    context = plain_context(server_side=True)
    context.maximum_version = newest
    context.load_cert_chain(files.certificate, files.private_key)
    target, middle = key_ends[0].codec(), stranger_codec(context, server_side=True)

    told = refusals(target, middle)

    assert told[0] == {
        ssl.TLSVersion.TLSv1_2: "the peer refused: protocol version",
        ssl.TLSVersion.TLSv1_3: "the peer's certificate was refused: unable to get local issuer certificate",
    }[newest]  # fmt: skip
    assert told[1]
    assert not target.established
    with pytest.raises(ssl.SSLError):
        target.encrypt(b"secret")


def test_the_use_of_the_key_is_made_sure_of(key_ends: tuple[Tunnel, Tunnel], authority: Any) -> None:
    """Even where OpenSSL is content with any certificate, the proof is not, and the handshake's end is not sent."""
    files = authority.files("source.example", server_side=True)
    server = plain_context(server_side=True)
    server.load_cert_chain(files.certificate, files.private_key)
    key_ends[0].context.verify_mode = ssl.CERT_NONE
    target, middle = key_ends[0].codec(), stranger_codec(server, server_side=True)
    target.handshake()
    middle.handshake(target.outgoing())

    with pytest.raises(HandshakeError, match="did not prove that it holds the key"):
        target.handshake(middle.outgoing())
    assert not target.established
    assert target.outgoing() == b""
    assert bytes(target.decrypt(b"")) == b""
    with pytest.raises(ssl.SSLError, match="before the handshake is done"):
        target.encrypt(b"secret")


def test_key_and_certificate_do_not_mix(key_ends: tuple[Tunnel, Tunnel], authority: Any, refusals: Refusals) -> None:
    """A target with a key and a source with certificates refuse each other, and the other way round."""
    assert all(refusals(key_ends[0].codec(), source_of(authority).codec()))
    assert all(refusals(target_of(authority).codec("source.example"), key_ends[1].codec()))


@pytest.mark.parametrize(
    "plain",
    [b"GET / HTTP/1.1\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", b"SSH-2.0-x\r\n"],
)
def test_plain_clients_are_told_apart(key_ends: tuple[Tunnel, Tunnel], plain: bytes) -> None:
    """Whoever speaks without TLS is refused by that reason, at either end."""
    for tunnel in key_ends:
        codec = tunnel.codec()
        if not tunnel.server_side:
            codec.handshake()
        with pytest.raises(HandshakeError, match=r"^the peer does not speak TLS$"):
            codec.handshake(plain)


def test_no_more_than_a_chunk_at_once(key_ends: tuple[Tunnel, Tunnel]) -> None:
    """More than there is room to decrypt is the caller's error, and leaves nothing behind for the next connection."""
    target, source = (tunnel.codec() for tunnel in key_ends)
    target.handshake()
    source.handshake(target.outgoing())
    target.handshake(source.outgoing())
    source.handshake(target.outgoing() + target.encrypt(b"one"))
    with pytest.raises(ValueError, match="at once"):
        source.decrypt(bytes(CHUNK + 1))
    target, source = (tunnel.codec() for tunnel in key_ends)
    target.handshake()
    assert not source.handshake(target.outgoing())
