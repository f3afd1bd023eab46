"""The settings of an ambassador: one field each, with its default and how its text is read.

No `from __future__ import annotations` here: pydantic reads the annotations when the class is made.
"""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf

from ambassador.config import parsers
from ambassador.config.by_route import ByRoute, by_route
from ambassador.config.filter import LinkFilter, link_filter
from ambassador.net.address import Address

PREFIX = "AMBASSADOR_"


def _text(read: Callable[[str], object]) -> BeforeValidator:
    """Have pydantic call *read* for a text; anything else is taken as the value itself."""

    def value(given: Any) -> Any:
        return read(given) if isinstance(given, str) else given

    return BeforeValidator(value)


def _excepted(read: Callable[[str], object], default: object) -> BeforeValidator:
    """Have pydantic read a setting that takes exceptions by route; *default* is the one of the table."""
    return _text(by_route(read, default))


Role = Literal["off", "source", "target"]
Header = Literal["off", "v1", "v2"]
Networks = tuple[IPv4Network | IPv6Network, ...]
Duration = Annotated[float, _text(parsers.parse_duration)]
DialTimeout = Annotated[InstanceOf[ByRoute[float]], _excepted(parsers.positive_duration, 10.0)]
Ejection = Annotated[InstanceOf[ByRoute[float]], _excepted(parsers.parse_duration, 1.0)]
Timeout = Annotated[InstanceOf[ByRoute[float]], _excepted(parsers.parse_duration, 0.0)]
MostConnections = Annotated[InstanceOf[ByRoute[int | None]], _excepted(parsers.connections, None)]
Allowed = Annotated[InstanceOf[ByRoute[Networks]], _excepted(parsers.networks_or("all"), ())]
Trusted = Annotated[InstanceOf[ByRoute[Networks]], _excepted(parsers.networks_or("off"), ())]
Tunnelled = Annotated[InstanceOf[ByRoute[Role]], _excepted(parsers.choice("off", "source", "target"), "off")]
Peers = Annotated[InstanceOf[ByRoute[tuple[str, ...]]], _excepted(parsers.peers, ())]
SentHeader = Annotated[InstanceOf[ByRoute[Header]], _excepted(parsers.choice("off", "v1", "v2"), "off")]
Lines = Annotated[InstanceOf[ByRoute[bool]], _excepted(parsers.on_off, default=True)]
File = Annotated[InstanceOf[Path] | None, _text(parsers.path)]


class Settings(BaseModel):
    """Every AMBASSADOR_* setting, each valid by itself. Durations are in seconds; 0 is off.

    What takes exceptions by route is a `ByRoute`. Its default stands twice here: it holds without the variable, and
    where the variable has nothing but exceptions. The field's name in upper case is the setting's. The README has their
    meanings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    routes: str = ""
    links: Annotated[InstanceOf[LinkFilter], _text(link_filter)] = LinkFilter()
    bind: Annotated[tuple[str, ...], _text(parsers.bind_hosts)] = ("",)
    # Longer than an upstream's restart usually takes, shorter than the patience of most clients.
    connect_timeout: DialTimeout = ByRoute(10.0)
    # As long as a client waits anyway before it tries again; then an endpoint that was missed is asked once more.
    eject: Ejection = ByRoute(1.0)
    idle_timeout: Timeout = ByRoute(0.0)
    half_close_timeout: Timeout = ByRoute(0.0)
    max_lifetime: Timeout = ByRoute(0.0)
    # With five probes ten seconds apart, a dead peer is found within two minutes.
    keepalive: Annotated[float, _text(parsers.keepalive)] = 60.0
    max_connections: MostConnections = ByRoute(None)
    allow: Allowed = ByRoute(())
    drain_delay: Duration = 0.0
    # Docker kills ten seconds after SIGTERM.
    drain_timeout: Duration = 8.0
    tunnel: Tunnelled = ByRoute("off")
    tunnel_key_file: File = None
    tunnel_cert_file: File = None
    tunnel_private_key_file: File = None
    tunnel_ca_file: File = None
    tunnel_peers: Peers = ByRoute(())
    proxy_protocol: SentHeader = ByRoute("off")
    proxy_protocol_from: Trusted = ByRoute(())
    admin: Annotated[InstanceOf[Address] | None, _text(parsers.admin_address)] = Address("127.0.0.1", 9901)
    admin_token: Annotated[str | None, _text(parsers.admin_token)] = Field(default=None, repr=False)
    workers: Annotated[int, _text(parsers.workers)] = 1
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _text(parsers.choice("debug", "info", "warning", "error"))
    ] = "info"
    log_format: Annotated[Literal["auto", "json", "console"], _text(parsers.choice("auto", "json", "console"))] = "auto"
    access_log: Lines = ByRoute(default=True)


NAMES = frozenset(name.upper() for name in Settings.model_fields)
