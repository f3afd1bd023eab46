"""The tunnels of an ambassador: which end of one each route is, and what it is proven by."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ambassador.config.problems import path_shown
from ambassador.config.rules import tunnel_roles
from ambassador.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ambassador.config.routes import Route
    from ambassador.config.settings import Role, Settings
    from ambassador.tunnel import Credentials


class Tunnels:
    """Keys or certificates for both roles, made once for each role and each choice of peers.

    Attributes:
        warnings: what works but is probably not intended, one line each.

    Raises:
        ConfigurationError: the files cannot serve.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[tuple[Role, tuple[str, ...]], Credentials] = {}
        self._named: dict[str, str] = {}
        self.warnings: tuple[str, ...] = ()
        roles = sorted(tunnel_roles(settings))
        if roles:
            self._make(roles)

    @property
    def paths(self) -> Sequence[str]:
        """The paths of all files, each once."""
        return tuple(self._named)

    def __iter__(self) -> Iterator[Credentials]:
        """Go through all that was read from files."""
        return iter(self._made.values())

    def of(self, route: Route, role: Role) -> Credentials | None:
        """Return what *route* proves itself by where it is this end of a tunnel; None where it is not."""
        if self._settings.tunnel.of(route) != role:
            return None
        return self._made[role, self._settings.tunnel_peers.of(route)]

    def problem(self, path: str, wrong: str, right: str) -> Problem:
        """Make a problem of the setting that names *path*."""
        return Problem(self._named[path], path_shown(path), wrong, right)

    def _make(self, roles: Iterable[Role]) -> None:
        """Read the files, which all have in common, once: where they hang it is not waited for each of them."""
        from ambassador.tunnel import Credentials, TunnelFiles
        from ambassador.tunnel.credentials import look_at

        settings = self._settings
        shared = TunnelFiles(
            server_side=False,
            key=settings.tunnel_key_file,
            certificate=settings.tunnel_cert_file,
            private_key=settings.tunnel_private_key_file,
            authority=settings.tunnel_ca_file,
        )
        self._named = {str(path): name for name, path in reversed(shared.named().items())}
        looks = look_at(shared)
        problems: dict[Problem, None] = {}
        for role in roles:
            for peers in settings.tunnel_peers.values():
                source = dataclasses.replace(shared, server_side=role == "source", peers=peers)
                try:
                    self._made[role, peers] = Credentials(source, looks)
                except ConfigurationError as error:
                    problems.update(dict.fromkeys(error.problems))
        if problems:
            raise ConfigurationError(tuple(problems))
        if shared.certificate is not None:
            self.warnings = _heavy_key(looks[shared.certificate].content.decode(errors="replace"))


def _heavy_key(certificate: str) -> tuple[str, ...]:
    """Warn of a key that makes each handshake dear, be it a stranger's."""
    from ambassador.tunnel.weight import HEAVY_ABOVE, rsa_bits

    bits = rsa_bits(certificate)
    if bits <= HEAVY_ABOVE:
        return ()
    warning = (
        f"AMBASSADOR_TUNNEL_CERT_FILE, AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE: an RSA key of {bits} bits makes each "
        "handshake slow, and a flood of strangers cheap: use ECDSA with P-256 (openssl genpkey -algorithm EC -pkeyopt "
        "ec_paramgen_curve:P-256)"
    )
    return (warning,)
