"""The settings of an ambassador: one field each, with its default and how its text is read.

No `from __future__ import annotations` here: pydantic reads the annotations when the class is made.
"""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf

from ambassador.config import parsers
from ambassador.config.filter import LinkFilter, link_filter
from ambassador.net.address import Address

PREFIX = "AMBASSADOR_"


def _text(read: Callable[[str], object]) -> BeforeValidator:
    """Have pydantic call *read* for a text; anything else is taken as the value itself."""

    def value(given: Any) -> Any:
        return read(given) if isinstance(given, str) else given

    return BeforeValidator(value)


Duration = Annotated[float, _text(parsers.parse_duration)]
Networks = Annotated[tuple[InstanceOf[IPv4Network] | InstanceOf[IPv6Network], ...], _text(parsers.networks)]
File = Annotated[InstanceOf[Path] | None, _text(parsers.path)]


class Settings(BaseModel):
    """Every AMBASSADOR_* setting, each valid by itself. Durations are in seconds; 0 is off.

    The field's name in upper case is the setting's. The README has their meanings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    routes: str = ""
    links: Annotated[InstanceOf[LinkFilter], _text(link_filter)] = LinkFilter()
    bind: Annotated[tuple[str, ...], _text(parsers.bind_hosts)] = ("",)
    # Longer than an upstream's restart usually takes, shorter than the patience of most clients.
    connect_timeout: Annotated[float, _text(parsers.positive_duration)] = 10.0
    idle_timeout: Duration = 0.0
    half_close_timeout: Duration = 0.0
    max_lifetime: Duration = 0.0
    # With five probes ten seconds apart, a dead peer is found within two minutes.
    keepalive: Annotated[float, _text(parsers.keepalive)] = 60.0
    max_connections: Annotated[int | None, _text(parsers.connections)] = None
    allow: Networks = ()
    drain_delay: Duration = 0.0
    # Docker kills ten seconds after SIGTERM.
    drain_timeout: Duration = 8.0
    tunnel: Annotated[Literal["off", "source", "target"], _text(parsers.choice("off", "source", "target"))] = "off"
    tunnel_key_file: File = None
    tunnel_cert_file: File = None
    tunnel_private_key_file: File = None
    tunnel_ca_file: File = None
    tunnel_peers: Annotated[tuple[str, ...], _text(parsers.peers)] = ()
    proxy_protocol: Annotated[Literal["off", "v1", "v2"], _text(parsers.choice("off", "v1", "v2"))] = "off"
    proxy_protocol_from: Networks = ()
    admin: Annotated[InstanceOf[Address] | None, _text(parsers.admin_address)] = Address("127.0.0.1", 9901)
    admin_token: Annotated[str | None, _text(parsers.admin_token)] = Field(default=None, repr=False)
    workers: Annotated[int, _text(parsers.workers)] = 1
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _text(parsers.choice("debug", "info", "warning", "error"))
    ] = "info"
    log_format: Annotated[Literal["auto", "json", "console"], _text(parsers.choice("auto", "json", "console"))] = "auto"
    access_log: Annotated[bool, _text(parsers.on_off)] = True


NAMES = frozenset(name.upper() for name in Settings.model_fields)
