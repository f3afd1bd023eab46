"""Who does not get through a tunnel, and what each end says of it."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ambassador.tunnel import CHUNK, Codec, Credentials, HandshakeError, Tunnel, TunnelFiles, contexts, generate, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    Refusals = Callable[[Codec, Codec], tuple[str, str]]

PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
FUTURE = dt.datetime(2090, 1, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2091, 1, 1, tzinfo=dt.UTC)
KEY = keys.parse(generate())[0]


@pytest.fixture
def key_ends(key_folder: Any) -> tuple[Tunnel, Tunnel]:
    """Return a target's tunnel and a source's with one key."""
    return contexts.key_tunnel([KEY], server_side=False), contexts.key_tunnel([KEY], server_side=True)


def plain_context(*, server_side: bool) -> ssl.SSLContext:
    """Make a context as a stranger has it, who verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def stranger_codec(context: ssl.SSLContext, *, server_side: bool) -> Codec:
    """Make a codec that asks its peer for no proof."""
    return Codec(context, server_side=server_side, host=None, proof=lambda _: "")


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


def test_certificates_let_in(authority: Any, refusals: Refusals) -> None:
    """By default a target expects the name or address that it dials, and a source any certificate of the authority."""
    target = Credentials(authority.files("whatever", server_side=False)).tunnel
    for name in ("source.example", "10.0.0.7", "fd00::7", "*.wild.example"):
        source = Credentials(authority.files(name, server_side=True)).tunnel
        assert refusals(target.codec(name.replace("*", "db")), source.codec()) == ("", "")
    assert refusals(target.codec("SOURCE.example."), _source(authority).codec()) == ("", "")
    zoned = Credentials(authority.files("fe80::7", server_side=True)).tunnel
    assert refusals(target.codec("fe80::7%eth0"), zoned.codec()) == ("", "")


def _source(ca: Any, **more: Any) -> Tunnel:
    return Credentials(ca.files("source.example", server_side=True, **more)).tunnel


def _target(ca: Any, **more: Any) -> Tunnel:
    return Credentials(ca.files("target.example", server_side=False, **more)).tunnel


@pytest.mark.parametrize(
    ("dialled", "told"),
    [
        ("other.example", "Hostname mismatch, certificate is not valid for 'other.example'"),
        ("10.0.0.8", "IP address mismatch, certificate is not valid for '10.0.0.8'"),
    ],
)
def test_a_source_of_another_name_is_refused(authority: Any, refusals: Refusals, dialled: str, told: str) -> None:
    """A certificate of the authority for another host is not enough for a target."""
    reasons = refusals(_target(authority).codec(dialled), _source(authority).codec())

    assert reasons == (f"the peer's certificate was refused: {told}", "the peer refused: bad certificate")


@pytest.mark.parametrize(
    ("validity", "told", "alert"),
    [
        ({"not_after": PAST}, "certificate has expired", "certificate expired"),
        ({"not_before": FUTURE, "not_after": LATER}, "certificate is not yet valid", "bad certificate"),
    ],
)
def test_certificates_out_of_their_time_are_refused(
    authority: Any, refusals: Refusals, validity: dict[str, Any], told: str, alert: str
) -> None:
    """Expired and not yet valid certificates are refused at both ends, and the other end learns it."""
    refused = f"the peer's certificate was refused: {told}", f"the peer refused: {alert}"

    assert refusals(_target(authority).codec("source.example"), _source(authority, **validity).codec()) == refused
    assert refusals(_target(authority, **validity).codec("source.example"), _source(authority).codec()) == refused[::-1]


def test_another_authority_is_refused(authority: Any, stranger: Any, refusals: Refusals) -> None:
    """A certificate of an authority that this end does not trust is refused at both ends."""
    reasons = refusals(_target(authority).codec("source.example"), _source(stranger, authority=authority).codec())
    assert reasons == (
        "the peer's certificate was refused: unable to get local issuer certificate", "the peer refused: unknown ca",
    )  # fmt: skip

    reasons = refusals(_target(stranger, authority=authority).codec("source.example"), _source(authority).codec())
    assert reasons == (
        "the peer refused: unknown ca", "the peer's certificate was refused: unable to get local issuer certificate",
    )  # fmt: skip


def test_no_certificate_is_refused(authority: Any, refusals: Refusals) -> None:
    """A TLS client that shows no certificate is not let in by a source."""
    target = stranger_codec(plain_context(server_side=False), server_side=False)

    assert refusals(target, _source(authority).codec()) == (
        "the peer refused: certificate required", "the peer has no certificate",
    )  # fmt: skip


def test_a_common_name_is_no_name(authority: Any, refusals: Refusals) -> None:
    """Only the names that a certificate bears as alternative names count."""
    source = Credentials(authority.files("10.0.0.7", server_side=True, common_name="source.example")).tunnel

    assert "Hostname mismatch" in refusals(_target(authority).codec("source.example"), source.codec())[0]


@pytest.mark.parametrize("peers", [("a.example", "target.example"), ("TARGET.example",), ("spiffe://x/target",)])
def test_a_client_with_one_of_the_names_is_let_in(authority: Any, refusals: Refusals, peers: tuple[str, ...]) -> None:
    """A certificate that bears one of AMBASSADOR_TUNNEL_PEERS is let in, be it by a DNS or a URI name."""
    target = Credentials(certificate_with_uri(authority, "spiffe://x/target")).tunnel

    assert refusals(target.codec("source.example"), _source(authority, peers=peers).codec()) == ("", "")


@pytest.mark.parametrize("peers", [("b.example",), ("spiffe://x/TARGET",), ("*.example",), ("spiffe://x",)])
def test_a_client_with_none_of_the_names_is_refused(authority: Any, refusals: Refusals, peers: tuple[str, ...]) -> None:
    """The source says what the certificate bears instead; the target, whose part was done, is let nowhere."""
    target = Credentials(certificate_with_uri(authority, "spiffe://x/target")).tunnel
    source = _source(authority, peers=peers).codec()

    told = refusals(target.codec("source.example"), source)[1]

    shown = "the peer's certificate is for 'DNS:Target.example, URI:spiffe://x/target', expected "
    assert told == shown + peers[0]
    assert not source.established


def test_a_dns_name_is_no_uri(authority: Any, refusals: Refusals) -> None:
    """A name of one kind that looks like the expected one of the other kind does not count."""
    target = Credentials(certificate_with_uri(authority, "target.example", dns="spiffe://x/target")).tunnel
    for peer in ("spiffe://x/target", "target.example"):
        told = refusals(target.codec("source.example"), _source(authority, peers=(peer,)).codec())[1]
        assert "the peer's certificate is for " in told


def test_an_authority_below_another_is_enough(authority: Any, refusals: Refusals) -> None:
    """A file that holds an intermediate authority alone trusts that one, and not its siblings under the same root."""
    ours, sibling = (
        type(authority)(authority.folder / name, authority.ca.create_child_ca()) for name in ("ours", "sibling")
    )
    source = _source(ours)

    assert refusals(_target(ours).codec("source.example"), source.codec()) == ("", "")
    assert "was refused" in refusals(_target(sibling, authority=ours).codec("source.example"), source.codec())[1]


def test_names_of_peers_stand_in_for_the_host(authority: Any, refusals: Refusals) -> None:
    """With AMBASSADOR_TUNNEL_PEERS a target expects one of them, and no longer the name that it dials."""
    by_name, by_other = (_target(authority, peers=(name,)) for name in ("source.example", "other.example"))

    assert refusals(by_name.codec("10.0.0.7"), _source(authority).codec()) == ("", "")
    told = refusals(by_other.codec("source.example"), _source(authority).codec())[0]
    assert told == "the peer's certificate is for 'DNS:source.example', expected other.example"


def certificate_with_uri(authority: Any, uri: str, *, dns: str = "Target.example") -> TunnelFiles:
    """Issue a certificate with a DNS name and a URI, which trustme alone does not."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.ca.cert_pem.bytes())
    names = x509.SubjectAlternativeName([x509.DNSName(dns), x509.UniformResourceIdentifier(uri)])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    leaf = (
        x509.CertificateBuilder(issuer.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day).not_valid_after(now + day).add_extension(names, critical=True)
        .sign(authority.ca._private_key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return TunnelFiles(
        server_side=False,
        certificate=authority.write("uri.pem", leaf.public_bytes(pem)),
        private_key=authority.write("uri.key", private),
        authority=authority.file,
    )


def test_key_and_certificate_do_not_mix(key_ends: tuple[Tunnel, Tunnel], authority: Any, refusals: Refusals) -> None:
    """A target with a key and a source with certificates refuse each other, and the other way round."""
    assert all(refusals(key_ends[0].codec(), _source(authority).codec()))
    assert all(refusals(_target(authority).codec("source.example"), key_ends[1].codec()))


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
