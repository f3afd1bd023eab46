"""The tunnels of an ambassador: which end of one each route is, and what it is proven by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.config.rules import tunnel_roles
from ambassador.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ambassador.config.routes import Route
    from ambassador.config.settings import Role, Settings
    from ambassador.errors import Problem
    from ambassador.tunnel import Credentials


class Tunnels:
    """Keys or certificates for both roles, made once for each role and each choice of peers.

    Raises:
        ConfigurationError: the files cannot serve.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[tuple[Role, tuple[str, ...]], Credentials] = {}
        problems: dict[Problem, None] = {}
        for role in sorted(tunnel_roles(settings)):
            for peers in settings.tunnel_peers.values():
                try:
                    self._made[role, peers] = _credentials(settings, role, peers)
                except ConfigurationError as error:
                    problems.update(dict.fromkeys(error.problems))
        if problems:
            raise ConfigurationError(tuple(problems))

    def __iter__(self) -> Iterator[Credentials]:
        """Go through all that was read from files."""
        return iter(self._made.values())

    def of(self, route: Route, role: Role) -> Credentials | None:
        """Return what *route* proves itself by where it is this end of a tunnel; None where it is not."""
        if self._settings.tunnel.of(route) != role:
            return None
        return self._made[role, self._settings.tunnel_peers.of(route)]


def _credentials(settings: Settings, role: Role, peers: tuple[str, ...]) -> Credentials:
    from ambassador.tunnel import Credentials, TunnelFiles

    return Credentials(
        TunnelFiles(
            server_side=role == "source",
            key=settings.tunnel_key_file,
            certificate=settings.tunnel_cert_file,
            private_key=settings.tunnel_private_key_file,
            authority=settings.tunnel_ca_file,
            peers=peers,
        )
    )
