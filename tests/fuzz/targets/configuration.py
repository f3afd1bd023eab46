"""Configurations: the input is an environment, its values as they are, and more.

A line is NAME=VALUE, and goes on in the next one if that begins with a blank; one without `=` is a ROUTE argument, and
one that begins with `#` is of /etc/hosts. `{files}` in a value is the folder `files`, which has settings in files.
"""

from __future__ import annotations

import re
from pathlib import Path

from ambassador.config.addresses import overlap, upstream_address
from ambassador.config.by_route import applied
from ambassador.config.configuration import Configuration, read
from ambassador.config.problems import LONGEST as LONGEST_SHOWN
from ambassador.config.settings import NAMES, Settings
from ambassador.errors import ConfigurationError

# Never to be seen where a password or a token stands.
_SECRET = "hunter2"  # noqa: S105 - everybody's
_ROUTES_SECRETS = re.compile(r"\S*@|\?\S*")
_LINK_SECRETS = re.compile(r"://.*@|\S*@|\?.*", re.DOTALL)
_FILES = str(Path(__file__).parents[1] / "files")
WORDS = (
    *(f"AMBASSADOR_{name}=".encode() for name in sorted(NAMES)), *(name.encode() for name in sorted(NAMES)),
    b"AMBASSADOR_", b"_FILE=", b"_PORT_", b"_TCP=", b"_UDP=", b"_ADDR=", b"_NAME=", b"_ENV_", b"_SERVICE_HOST=",
    b"tcp://", b"udp://", b"redis", b"web", b"10.0.0.7", b"[fd00::7]", b"::ffff:10.0.0.1", b"127.0.0.1", b"*", b":80",
    b":9901", b"80", b"081", b"0", b"65536", b"off", b"on", b"auto", b"all", b"source", b"target", b"v1", b"v2",
    b"10s", b"1h30m", b"250ms", b"10.0.0.0/8", b"fd00::/8", b"spiffe://a/b", b"hunter2", b":hunter2@",
    b"?token=hunter2", b"{files}/", b"{files}/routes", b"{files}/token", b"{files}/bytes", b"/", b"/dev/null", b"=",
    b",", b" ", b"\n", b"\n ", b"#", b"@", b"!", b'"', b"'", b"%", b"\xff", b"\xef\xbb\xbf", b"\xc3\xa9",
    b"\xe2\x84\xaa", b"\x1b", b"9" * 50,
)  # fmt: skip
LONGEST = 1000


def check(data: bytes) -> None:
    """Read it: only one error may leave, what is said is fit for a terminal, and what is accepted can be served."""
    environ, arguments, hosts = _parts(data)
    outcome = _outcome(environ, arguments, hosts)
    if isinstance(outcome, ConfigurationError):
        said = [str(problem) for problem in outcome.problems]
        assert said
        assert all(len(line) < 10 * LONGEST_SHOWN for line in said)
        assert str(outcome) == "\n".join(said)
    else:
        _can_be_served(outcome)
        said = _said(outcome)
    for line in said:
        assert line.isprintable(), ascii(line)
    if _secrets_are_secret(environ, arguments, hosts):
        assert _SECRET not in "\n".join(said)
    other = _outcome(dict(reversed(environ.items())), arguments, hosts)
    assert str(other) == str(outcome) if isinstance(outcome, ConfigurationError) else other == outcome


def _parts(data: bytes) -> tuple[dict[str, str], list[str], str]:
    environ: dict[str, str] = {}
    arguments: list[str] = []
    hosts: list[str] = []
    # As the interpreter decodes an environment, which has no zero bytes.
    text = data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
    for line in re.split(r"\n(?! )", text):
        name, mark, value = line.partition("=")
        if line.startswith("#"):
            hosts.append(line[1:])
        elif mark and name:
            environ[name] = value.replace("{files}", _FILES)
        elif line:
            arguments.append(line)
    return environ, arguments, "\n".join(hosts)


def _outcome(environ: dict[str, str], arguments: list[str], hosts: str) -> Configuration | ConfigurationError:
    try:
        return read(environ, arguments=arguments, hosts=hosts, python=(3, 13))
    except ConfigurationError as error:
        return error


def _said(configuration: Configuration) -> list[str]:
    """Return what a user gets to see of a configuration, but the values of settings."""
    decisions = [f"{one.variable}={one.value}: {one.reason} {one.route}" for one in configuration.decisions]
    routes = [f"{route.name} {route.source} {route.listen} {route.endpoints}" for route in configuration.routes]
    return [*configuration.warnings, *decisions, *routes]


def _can_be_served(configuration: Configuration) -> None:
    assert configuration.routes
    assert len({route.name for route in configuration.routes}) == len(configuration.routes)
    listens = [listen for route in configuration.routes for listen in route.listen]
    if configuration.settings.admin:
        listens.append(configuration.settings.admin)
    for index, listen in enumerate(listens):
        assert 1 <= listen.port <= 65535
        assert not any(overlap(listen, other) for other in listens[:index])
    for route in configuration.routes:
        assert route.endpoints
        for endpoint in route.endpoints:
            assert upstream_address(str(endpoint.address)) == endpoint.address
        applied(configuration.settings, Settings(), route)


def _secrets_are_secret(environ: dict[str, str], arguments: list[str], hosts: str) -> bool:
    """Tell whether it is nowhere but where it is known by its place: in a token, and before an @ or in a query."""
    shown = [hosts, *environ]
    shown += [_ROUTES_SECRETS.sub("", text) for text in arguments]
    for name, value in environ.items():
        if name == "AMBASSADOR_ROUTES":
            shown.append(_ROUTES_SECRETS.sub("", value))
        elif re.fullmatch(r"[!-~]+_PORT_\d+_TCP", name):
            shown.append(_LINK_SECRETS.sub("", value))
        elif name.endswith("_FILE") and _FILES in value:
            # What a setting's file holds is quoted where it is wrong, as the setting's value would be.
            fit = {"AMBASSADOR_ADMIN_TOKEN_FILE": value, "AMBASSADOR_ROUTES_FILE": f"{_FILES}/routes"}
            shown.append(value if fit.get(name) == value else _SECRET)
        elif name != "AMBASSADOR_ADMIN_TOKEN":
            shown.append(value)
    return _SECRET not in "\n".join(shown)
