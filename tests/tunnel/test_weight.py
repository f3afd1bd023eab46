"""How long the RSA key of a certificate is."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ambassador.tunnel.weight import rsa_bits

NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "source.example")])
NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """Write a certificate of *key*, with a word before it, as openssl's tools do."""
    builder = x509.CertificateBuilder(NAME, NAME, key.public_key(), 1, NOW, NOW + dt.timedelta(1))
    hashed = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = builder.sign(key, hashed)
    return f"subject=source.example\n{made.public_bytes(serialization.Encoding.PEM).decode()}"


@pytest.mark.parametrize("bits", [2048, 3072])
def test_an_rsa_key_is_measured(bits: int) -> None:
    """The length of the modulus is told, of the first certificate of several."""
    chain = certificate(rsa.generate_private_key(65537, bits)) + certificate(ec.generate_private_key(ec.SECP256R1()))
    assert rsa_bits(chain) == bits


def test_other_keys_are_none() -> None:
    """Keys of other kinds are not heavy, whoever signed."""
    assert rsa_bits(certificate(ec.generate_private_key(ec.SECP521R1()))) == 0
    assert rsa_bits(certificate(ed25519.Ed25519PrivateKey.generate())) == 0


@pytest.mark.parametrize("keep", [0, 40, 100, 200])
def test_what_cannot_be_read_is_none(keep: int) -> None:
    """A broken certificate is no fault here: OpenSSL says what is wrong with it."""
    whole = certificate(rsa.generate_private_key(65537, 2048))
    assert rsa_bits(whole[:keep]) == 0
    assert rsa_bits(f"{whole[:keep]}\n-----END CERTIFICATE-----\n") == 0
    assert rsa_bits("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n") == 0
