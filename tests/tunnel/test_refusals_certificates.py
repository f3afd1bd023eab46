"""A codec and its credentials, with a peer whose certificate is not the right one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ambassador.tunnel import Codec, Credentials, HandshakeError, TunnelFiles
from tests.tunnel.ends import plain_context, source_of, stranger_codec, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Refusals = Callable[[Codec, Codec], tuple[str, str]]


PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
FUTURE = dt.datetime(2090, 1, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2091, 1, 1, tzinfo=dt.UTC)


def test_certificates_let_in(authority: Any, refusals: Refusals) -> None:
    """By default a target expects the name or address that it dials, and a source any certificate of the authority."""
    target = Credentials(authority.files("whatever", server_side=False)).tunnel
    for name in ("source.example", "10.0.0.7", "fd00::7", "*.wild.example"):
        source = Credentials(authority.files(name, server_side=True)).tunnel
        assert refusals(target.codec(name.replace("*", "db")), source.codec()) == ("", "")
    assert refusals(target.codec("SOURCE.example."), source_of(authority).codec()) == ("", "")
    zoned = Credentials(authority.files("fe80::7", server_side=True)).tunnel
    assert refusals(target.codec("fe80::7%eth0"), zoned.codec()) == ("", "")


@pytest.mark.parametrize(
    ("dialled", "told"),
    [
        ("other.example", "Hostname mismatch, certificate is not valid for 'other.example'"),
        ("10.0.0.8", "IP address mismatch, certificate is not valid for '10.0.0.8'"),
    ],
)
def test_a_source_of_another_name_is_refused(authority: Any, refusals: Refusals, dialled: str, told: str) -> None:
    """A certificate of the authority for another host is not enough for a target."""
    reasons = refusals(target_of(authority).codec(dialled), source_of(authority).codec())

    assert reasons == (f"the peer's certificate was refused: {told}", "the peer refused: bad certificate")


def test_a_target_knows_that_it_was_refused(authority: Any, stranger: Any) -> None:
    """A source's alert in the place of its first payload is told apart from a rule that was broken later."""
    target, source = target_of(stranger, authority=authority), source_of(authority)
    ends = target.codec("source.example"), source.codec()
    ends[0].handshake()
    ends[1].handshake(ends[0].outgoing())
    ends[0].handshake(ends[1].outgoing())
    with pytest.raises(HandshakeError, match="refused"):
        ends[1].handshake(ends[0].outgoing())
    ends[0].decrypt(ends[1].outgoing())

    assert ends[0].broken.startswith("the peer refused")
    assert ends[0].refused


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

    assert refusals(target_of(authority).codec("source.example"), source_of(authority, **validity).codec()) == refused
    assert (
        refusals(target_of(authority, **validity).codec("source.example"), source_of(authority).codec())
        == refused[::-1]
    )


def test_another_authority_is_refused(authority: Any, stranger: Any, refusals: Refusals) -> None:
    """A certificate of an authority that this end does not trust is refused at both ends."""
    reasons = refusals(target_of(authority).codec("source.example"), source_of(stranger, authority=authority).codec())
    assert reasons == (
        "the peer's certificate was refused: unable to get local issuer certificate", "the peer refused: unknown ca",
    )  # fmt: skip

    reasons = refusals(target_of(stranger, authority=authority).codec("source.example"), source_of(authority).codec())
    assert reasons == (
        "the peer refused: unknown ca", "the peer's certificate was refused: unable to get local issuer certificate",
    )  # fmt: skip


def test_no_certificate_is_refused(authority: Any, refusals: Refusals) -> None:
    """A TLS client that shows no certificate is not let in by a source."""
    target = stranger_codec(plain_context(server_side=False), server_side=False)

    assert refusals(target, source_of(authority).codec()) == (
        "the peer refused: certificate required", "the peer has no certificate",
    )  # fmt: skip


def test_a_common_name_is_no_name(authority: Any, refusals: Refusals) -> None:
    """Only the names that a certificate bears as alternative names count."""
    source = Credentials(authority.files("10.0.0.7", server_side=True, common_name="source.example")).tunnel

    assert "Hostname mismatch" in refusals(target_of(authority).codec("source.example"), source.codec())[0]


@pytest.mark.parametrize("peers", [("a.example", "target.example"), ("TARGET.example",), ("spiffe://x/target",)])
def test_a_client_with_one_of_the_names_is_let_in(authority: Any, refusals: Refusals, peers: tuple[str, ...]) -> None:
    """A certificate that bears one of AMBASSADOR_TUNNEL_PEERS is let in, be it by a DNS or a URI name."""
    target = Credentials(certificate_with_uri(authority, "spiffe://x/target")).tunnel

    assert refusals(target.codec("source.example"), source_of(authority, peers=peers).codec()) == ("", "")


@pytest.mark.parametrize("peers", [("b.example",), ("spiffe://x/TARGET",), ("*.example",), ("spiffe://x",)])
def test_a_client_with_none_of_the_names_is_refused(authority: Any, refusals: Refusals, peers: tuple[str, ...]) -> None:
    """The source says what the certificate bears instead; the target, whose part was done, is let nowhere."""
    target = Credentials(certificate_with_uri(authority, "spiffe://x/target")).tunnel
    source = source_of(authority, peers=peers).codec()

    told = refusals(target.codec("source.example"), source)[1]

    shown = "the peer's certificate is for 'DNS:Target.example, URI:spiffe://x/target', expected "
    assert told == shown + peers[0]
    assert not source.established


def test_a_dns_name_is_no_uri(authority: Any, refusals: Refusals) -> None:
    """A name of one kind that looks like the expected one of the other kind does not count."""
    target = Credentials(certificate_with_uri(authority, "target.example", dns="spiffe://x/target")).tunnel
    for peer in ("spiffe://x/target", "target.example"):
        told = refusals(target.codec("source.example"), source_of(authority, peers=(peer,)).codec())[1]
        assert "the peer's certificate is for " in told


def test_an_authority_below_another_is_enough(authority: Any, refusals: Refusals) -> None:
    """A file that holds an intermediate authority alone trusts that one, and not its siblings under the same root."""
    ours, sibling = (
        type(authority)(authority.folder / name, authority.ca.create_child_ca()) for name in ("ours", "sibling")
    )
    source = source_of(ours)

    assert refusals(target_of(ours).codec("source.example"), source.codec()) == ("", "")
    assert "was refused" in refusals(target_of(sibling, authority=ours).codec("source.example"), source.codec())[1]


def test_names_of_peers_stand_in_for_the_host(authority: Any, refusals: Refusals) -> None:
    """With AMBASSADOR_TUNNEL_PEERS a target expects one of them, and no longer the name that it dials."""
    by_name, by_other = (target_of(authority, peers=(name,)) for name in ("source.example", "other.example"))

    assert refusals(by_name.codec("10.0.0.7"), source_of(authority).codec()) == ("", "")
    told = refusals(by_other.codec("source.example"), source_of(authority).codec())[0]
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
