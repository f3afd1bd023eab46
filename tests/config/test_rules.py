"""Which settings of the tunnel go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.config.configuration import Configuration

    Configure = Callable[..., Configuration]
    Problems = Callable[..., list[str]]

LINK = {"A_PORT_80_TCP": "tcp://a:1"}
ON = LINK | {"AMBASSADOR_TUNNEL": "source"}
A_KEY = "AMBASSADOR_TUNNEL_KEY_FILE"
A_CERT = "AMBASSADOR_TUNNEL_CERT_FILE"
A_PRIVATE_KEY = "AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE"
A_CA = "AMBASSADOR_TUNNEL_CA_FILE"
KEY = {A_KEY: "/run/secrets/key"}
CERTIFICATES = {A_CERT: "/tls/cert.pem", A_PRIVATE_KEY: "/tls/key.pem", A_CA: "/tls/ca.pem"}
PEERS = {"AMBASSADOR_TUNNEL_PEERS": "a.example"}


@pytest.mark.parametrize("files", [KEY, CERTIFICATES, CERTIFICATES | PEERS])
@pytest.mark.parametrize("role", ["source", "target"])
def test_tunnel_with_one_kind_of_proof(configure: Configure, files: dict[str, str], role: str) -> None:
    """A tunnel has a key, or certificates with or without peers; the files are not looked at here."""
    assert configure(LINK | files | {"AMBASSADOR_TUNNEL": role}).settings.tunnel.default == role


@pytest.mark.parametrize(
    ("files", "wrong", "right"),
    [
        ({}, "neither a key nor certificates", f"set {A_KEY}, or {A_CERT}, {A_PRIVATE_KEY} and {A_CA}"),
        (PEERS, "neither a key nor certificates", f"set {A_KEY}, or {A_CERT}, {A_PRIVATE_KEY} and {A_CA}"),
        (
            KEY | CERTIFICATES,
            "both a key and certificates",
            f"set either {A_KEY}, or {A_CERT}, {A_PRIVATE_KEY} and {A_CA}",
        ),
        (
            KEY | {A_CA: "c"},
            "both a key and certificates",
            f"set either {A_KEY}, or {A_CERT}, {A_PRIVATE_KEY} and {A_CA}",
        ),
        (KEY | PEERS, f"{A_KEY} together with AMBASSADOR_TUNNEL_PEERS", "unset one: names need certificates"),
        ({A_CERT: "c"}, "incomplete certificates", f"also set {A_PRIVATE_KEY} and {A_CA}"),
        ({A_CERT: "c", A_CA: "c"}, "incomplete certificates", f"also set {A_PRIVATE_KEY}"),
    ],
)
def test_tunnel_without_one_kind_of_proof(problems: Problems, files: dict[str, str], wrong: str, right: str) -> None:
    """A tunnel with both kinds of proof, with neither or with half of one is a problem, never a plain route."""
    assert problems(ON | files) == [f"AMBASSADOR_TUNNEL=source: {wrong}; {right}"]


def test_key_needs_python_3_13(problems: Problems, configure: Configure) -> None:
    """A key on an older Python is a problem; certificates are none."""
    (problem,) = problems(ON | KEY, python=(3, 12))

    assert "needs Python 3.13" in problem
    assert configure(ON | CERTIFICATES, python=(3, 11))


def test_broken_setting_of_the_tunnel_is_the_only_problem(problems: Problems) -> None:
    """A file that is given twice does not also count as missing."""
    (problem,) = problems(ON | {"AMBASSADOR_TUNNEL_KEY_FILE": "/a", "AMBASSADOR_TUNNEL_KEY_FILE_FILE": "/b"})

    assert problem.startswith("AMBASSADOR_TUNNEL_KEY_FILE_FILE=/b")


def test_files_without_a_tunnel_are_warned_about(configure: Configure) -> None:
    """Keys that nothing uses are hardly meant: nothing is encrypted."""
    assert configure(LINK | KEY).warnings == (
        "AMBASSADOR_TUNNEL_KEY_FILE set without AMBASSADOR_TUNNEL: nothing is encrypted",
    )
    assert not configure(ON | KEY).warnings
