"""Settings, from variables and from the files that they name."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.config.by_route import ByRoute
from ambassador.config.filter import LinkFilter
from ambassador.config.settings import NAMES, Settings
from ambassador.net.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.config.configuration import Configuration

    Configure = Callable[..., Configuration]
    Problems = Callable[..., list[str]]

LINK = {"A_PORT_80_TCP": "tcp://a:1"}
VALUES: dict[str, tuple[str, Any]] = {
    "ROUTES": ("90=b:1", "90=b:1"),
    "LINKS": ("a,!b", LinkFilter(("A",), ("B",))),
    "BIND": ("127.0.0.1", ("127.0.0.1",)),
    "CONNECT_TIMEOUT": ("3s", 3.0),
    "EJECT": ("250ms", 0.25),
    "IDLE_TIMEOUT": ("5m", 300.0),
    "HALF_CLOSE_TIMEOUT": ("1m", 60.0),
    "MAX_LIFETIME": ("1h", 3600.0),
    "KEEPALIVE": ("0", 0.0),
    "MAX_CONNECTIONS": ("100", 100),
    "ALLOW": ("10.0.0.0/8", (ip_network("10.0.0.0/8"),)),
    "DRAIN_DELAY": ("250ms", 0.25),
    "DRAIN_TIMEOUT": ("0", 0.0),
    "TUNNEL": ("off", "off"),
    "PROXY_PROTOCOL": ("v2", "v2"),
    "PROXY_PROTOCOL_FROM": ("fd00::/8,10.0.0.7", (ip_network("fd00::/8"), ip_network("10.0.0.7/32"))),
    "ADMIN": ("off", None),
    "ADMIN_TOKEN": ("0123456789abcdef", "0123456789abcdef"),
    "TUNNEL_KEY_FILE": ("/run/secrets/key", Path("/run/secrets/key")),
    "TUNNEL_CERT_FILE": ("cert.pem", Path("cert.pem")),
    "TUNNEL_PRIVATE_KEY_FILE": ("key.pem", Path("key.pem")),
    "TUNNEL_CA_FILE": ("ca.pem", Path("ca.pem")),
    "TUNNEL_PEERS": ("a.example", ("a.example",)),
    "WORKERS": ("auto", 0),
    "LOG_LEVEL": ("DEBUG", "debug"),
    "LOG_FORMAT": ("json", "json"),
    "ACCESS_LOG": ("off", False),
}


def plain(value: Any) -> Any:
    """Return the default of a setting that takes exceptions and has none; another's value as it is."""
    if isinstance(value, ByRoute):
        assert not value.items
        return value.default
    return value


def test_every_setting_is_tried_here() -> None:
    """No setting is without an example below."""
    assert set(VALUES) == NAMES


def test_defaults(configure: Configure) -> None:
    """Without a variable each setting has the default that is documented."""
    assert {name: plain(value) for name, value in configure(LINK).settings} == {
        "routes": "", "links": LinkFilter(), "bind": ("",), "connect_timeout": 10.0, "eject": 1.0, "idle_timeout": 0.0,
        "half_close_timeout": 0.0, "max_lifetime": 0.0, "keepalive": 60.0, "max_connections": None, "allow": (),
        "drain_delay": 0.0, "drain_timeout": 8.0, "tunnel": "off", "proxy_protocol": "off", "proxy_protocol_from": (),
        "admin": Address("127.0.0.1", 9901), "admin_token": None, "tunnel_key_file": None, "tunnel_cert_file": None,
        "tunnel_private_key_file": None, "tunnel_ca_file": None, "tunnel_peers": (), "workers": 1, "log_level": "info",
        "log_format": "auto", "access_log": True,
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(VALUES))
def test_setting_by_value(configure: Configure, name: str) -> None:
    """Each setting takes its value from its variable, without the white space around."""
    text, value = VALUES[name]

    assert plain(getattr(configure(LINK | {f"AMBASSADOR_{name}": f" {text}\r\n"}).settings, name.lower())) == value


@pytest.mark.parametrize("name", sorted(VALUES))
def test_setting_by_file(configure: Configure, tmp_path: Path, name: str) -> None:
    """Each setting can be read from a file, whose last line may end."""
    text, value = VALUES[name]
    file = tmp_path / "setting"
    file.write_text(f"{text}\n")

    assert plain(getattr(configure(LINK | {f"AMBASSADOR_{name}_FILE": str(file)}).settings, name.lower())) == value


@pytest.mark.parametrize("name", sorted(VALUES))
def test_empty_setting_is_not_set(configure: Configure, name: str) -> None:
    """An empty variable, as Compose makes one of what is not set, leaves the default."""
    environ = LINK | {f"AMBASSADOR_{name}": "", f"AMBASSADOR_{name}_FILE": " "}

    assert configure(environ) == configure(LINK)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("CONNECT_TIMEOUT", "0", "must not be 0; expected a duration like 250ms, 10s, 5m or 1h"),
        ("IDLE_TIMEOUT", "soon", "invalid duration; expected a duration like 250ms, 10s, 5m or 1h, or 0 for off"),
        ("KEEPALIVE", "1ms", "out of range; expected 1s to 32767s, or 0 for no keepalive"),
        ("MAX_CONNECTIONS", "0", "invalid number of connections; expected a whole number from 1 to 999999999"),
        ("WORKERS", "0", "invalid number of processes; expected 1 to 1024, or auto for one per core"),
        ("ALLOW", "10/8", "invalid network '10/8'; expected networks like 10.0.0.0/8 or fd00::/8"),
        ("ADMIN", "9901", "missing address; write 127.0.0.1:9901, or *:9901 for every address, or off"),
        ("LOG_LEVEL", "warn", "unknown value; expected debug, info, warning or error"),
        ("TUNNEL", "on", "unknown value; expected off, source or target"),
        ("LINKS", "a;b", "invalid alias 'a;b'; expected aliases like redis,web_*,!web_old, or off"),
        (
            "ROUTES",
            "\udce9=a:1",
            "missing port in '\\udce9'; expected PORT, ADDRESS:PORT or [v6]:PORT",
        ),
    ],
)
def test_wrong_setting(problems: Problems, name: str, value: str, line: str) -> None:
    """A setting that cannot be used is one line: variable, value, what is wrong, what would be right."""
    shown = value.replace("\udce9", "\\udce9")

    assert problems(LINK | {f"AMBASSADOR_{name}": value}) == [f"AMBASSADOR_{name}={shown}: {line}"]


def test_value_and_file_clash(problems: Problems) -> None:
    """A setting that is given both ways is a problem, whether or not its file exists."""
    assert problems(LINK | {"AMBASSADOR_ADMIN": "off", "AMBASSADOR_ADMIN_FILE": "/nowhere"}) == [
        "AMBASSADOR_ADMIN_FILE=/nowhere: AMBASSADOR_ADMIN is set as well; unset one of them"
    ]


def test_file_that_cannot_be_read(problems: Problems, tmp_path: Path) -> None:
    """A file that is missing, empty, huge, no file or no text is a problem that names its path."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(bytes((1 << 20) + 1))
    lines = {
        "missing": "cannot read the file: No such file or directory",
        "empty": "the file is empty",
        "binary": "not UTF-8 text",
        "huge": "larger than 1 MiB",
        ".": "not a regular file",
        "a" * 300: "cannot read the file: File name too long",
        "zero\0": "invalid character in a path",
    }
    for name, line in lines.items():
        (problem,) = problems(LINK | {"AMBASSADOR_ADMIN_FILE": f"{tmp_path}/{name}"})
        assert line in problem


def test_device_is_not_read(problems: Problems) -> None:
    """A path of a device, which has no end, is refused unread."""
    (problem,) = problems(LINK | {"AMBASSADOR_ADMIN_FILE": "/dev/zero"})

    assert "not a regular file" in problem


def test_wrong_value_in_a_file_names_the_file(problems: Problems, tmp_path: Path) -> None:
    """What is wrong in a file is told under the variable that names it."""
    file = tmp_path / "admin"
    file.write_text("9901")

    (problem,) = problems(LINK | {"AMBASSADOR_ADMIN_FILE": str(file)})

    assert problem.startswith(f"AMBASSADOR_ADMIN_FILE={file}: missing address")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ROUTE", "ROUTES"),
        ("LINK", "LINKS"),
        ("routes", "ROUTES"),
        ("CONNECTION_TIMEOUT", "CONNECT_TIMEOUT"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("MAX_CONNECTION", "MAX_CONNECTIONS"),
        ("TUNNEL_KEY", "TUNNEL_KEY_FILE"),
        ("ADMIN_TOKN_FILE", "ADMIN_TOKEN_FILE"),
        ("KEY_FILE", "TUNNEL_KEY_FILE"),
        ("PEERS", "TUNNEL_PEERS"),
        ("TOKEN", "ADMIN_TOKEN"),
    ],
)
def test_unknown_name_suggests_the_nearest(problems: Problems, name: str, nearest: str) -> None:
    """A misspelt setting is a problem that says which one may be meant."""
    (problem,) = problems(LINK | {f"AMBASSADOR_{name}": "x"})

    assert problem.startswith(f"AMBASSADOR_{name}=")
    assert problem.endswith(f": unknown setting; did you mean AMBASSADOR_{nearest}?")


@pytest.mark.parametrize("name", ["", "X" * 100_000, "A\nB", "\ud800"])
def test_strange_unknown_name(problems: Problems, name: str) -> None:
    """A name that nothing is near to, or that is no text, is a problem of one line as well."""
    (problem,) = problems(LINK | {f"AMBASSADOR_{name}": ""})

    assert "unknown setting" in problem
    assert problem.isprintable()
    assert len(problem) < 300


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "debug"), ("IDLE_TIMEOUT", "5m"), ("ALLOW", "10.0.0.0/8")])
def test_quotes_and_comments_that_are_left_in_a_setting_are_named(problems: Problems, name: str, value: str) -> None:
    """What `docker run --env-file` keeps is told as such, and so is what stands in a file of quotes."""
    for text, advice in ((f'"{value}"', "quotes"), (f"'{value}'", "quotes"), (f"{value} # as agreed", "comment")):
        (problem,) = problems(LINK | {f"AMBASSADOR_{name}": text})
        assert problem == f"AMBASSADOR_{name}={text}: {advice} in the value; remove the {advice}"


def test_mark_before_the_text_of_a_file(configure: Configure, problems: Problems, tmp_path: Path) -> None:
    """The byte order mark of UTF-8 is no part of a setting; text in UTF-16 is told with what to do."""
    file = tmp_path / "routes"
    file.write_bytes(b"\xef\xbb\xbf90=b:1\r\n")
    assert [route.name for route in configure({"AMBASSADOR_ROUTES_FILE": str(file)}).routes] == [":90"]

    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        file.write_text("90=b:1", encoding=encoding)
        assert any(
            "UTF-16" in line and "save it as UTF-8" in line for line in problems({"AMBASSADOR_ROUTES_FILE": str(file)})
        )


def test_name_in_the_table_is_always_the_setting(configure: Configure) -> None:
    """An alias that makes a setting's name of its variables does not take the setting away."""
    configuration = configure(
        {"AMBASSADOR_ADMIN_PORT_80_TCP": "tcp://a:1", "AMBASSADOR_ADMIN_TOKEN": "0123456789abcdef"}
    )

    assert configuration.settings.admin_token is not None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AMBASSADOR_ADMIN_TOKEN", "hunter2"),
        ("AMBASSADOR_ADMIN_TOKEN_FILE", "hunter2"),
        ("AMBASSADOR_TUNNEL_KEY", "hunter2"),
        ("AMBASSADOR_TUNNEL_KEY_FILE_FILE", "hunter2"),
        ("AMBASSADOR_PASSWORD", "hunter2"),
        ("AMBASSADOR_ADMIN_TOKN", "hunter2"),
        ("AMBASSADOR_ADMIN_TOKEN_FILE", "/hunter2\nhunter2"),
        ("AMBASSADOR_ROUTES", "80=user:hunter2@b:1"),
    ],
)
def test_secrets_are_masked(problems: Problems, variable: str, value: str) -> None:
    """What may be a secret is in no line, even where the user put it into the wrong variable."""
    (problem,) = problems(LINK | {variable: value})

    assert "hunter2" not in problem
    assert problem.startswith(f"{variable}=***")


def test_token_is_in_no_text_of_the_settings(configure: Configure) -> None:
    """The settings can be logged without giving the token away."""
    settings = configure(LINK | {"AMBASSADOR_ADMIN_TOKEN": "0123456789abcdef"}).settings

    assert "0123456789" not in repr(settings)
    assert "0123456789" not in str(settings)


def test_token_by_value_is_warned_about(configure: Configure, tmp_path: Path) -> None:
    """A token by value is handed on by links, one in a file is not."""
    (warning,) = configure(LINK | {"AMBASSADOR_ADMIN_TOKEN": "0123456789abcdef"}).warnings
    file = tmp_path / "token"
    file.write_text("0123456789abcdef")

    assert warning.endswith("use AMBASSADOR_ADMIN_TOKEN_FILE")
    assert not configure(LINK | {"AMBASSADOR_ADMIN_TOKEN_FILE": str(file)}).warnings


def test_name_without_a_link_is_warned_about(configure: Configure) -> None:
    """A name in AMBASSADOR_LINKS for which there is no link is told of."""
    assert configure(LINK | {"AMBASSADOR_LINKS": "a,zoo"}).warnings == (
        "AMBASSADOR_LINKS names zoo, but there is no such link",
    )


def test_settings_can_be_made_without_texts() -> None:
    """Code and tests give values, and what is neither a value nor a text of one is refused."""
    assert Settings(keepalive=3.0, admin=None, bind=("127.0.0.1",)).keepalive == 3.0
    with pytest.raises(ValueError, match="number"):
        Settings.model_validate({"keepalive": None})
    with pytest.raises(ValueError, match="forbidden"):
        Settings.model_validate({"nonsense": 1})
