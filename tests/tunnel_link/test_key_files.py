"""A tunnel's files as their users get them wrong: `run` and `check` say so, and how to mend it, and end with 2."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.tunnel.credentials import SHARED_KEYS
from tests.support.cases import quick
from tests.support.net import free_port
from tests.support.process import command, environment

if TYPE_CHECKING:
    from tests.support.proofs import Authority, KeyFile

COMMANDS = pytest.mark.parametrize("verb", quick(1, ["check", "run"]))


def said(verb: str, settings: dict[str, str]) -> tuple[int, str]:
    """Run a command with these settings and one route; return its exit code and what it said to standard error."""
    env = {f"AMBASSADOR_{name}": value for name, value in settings.items()}
    code, _, errors = command(verb, f"127.0.0.1:{free_port()}=redis:6379", env=env)
    return code, errors


def checks_out(settings: dict[str, str]) -> bool:
    """Tell whether `check` finds nothing wrong."""
    return said("check", settings)[0] == 0


@COMMANDS
@pytest.mark.parametrize(("mode", "amends"), [(0o644, "o-r"), (0o604, "o-r"), (0o620, "go-w"), (0o666, "go-w,o-r")])
def test_a_careless_mode_is_told_with_the_command_that_mends_it(
    key_file: KeyFile, verb: str, mode: int, amends: str
) -> None:
    """A key that others may read or change is refused, and the command in the message makes it fit."""
    key_file.path.chmod(mode)
    mend = f"chmod {amends} {shlex.quote(str(key_file.path))}"

    code, errors = said(verb, key_file.settings("source"))

    assert code == 2
    assert mend in errors
    assert "AMBASSADOR_TUNNEL_KEY_FILE" in errors
    subprocess.run(shlex.split(mend), check=True)
    assert checks_out(key_file.settings("source"))


@COMMANDS
def test_a_careless_private_key_is_told(authority: Authority, verb: str) -> None:
    """The private key of a certificate is judged likewise."""
    settings = authority.settings("target")
    Path(settings["TUNNEL_PRIVATE_KEY_FILE"]).chmod(0o644)

    code, errors = said(verb, settings)

    assert code == 2
    assert f"chmod o-r {settings['TUNNEL_PRIVATE_KEY_FILE']}" in errors


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_what_nobody_else_may_read_is_well(key_file: KeyFile, mode: int) -> None:
    """A key for its owner alone, or for a group as in Kubernetes, is taken."""
    key_file.path.chmod(mode)
    assert checks_out(key_file.settings("source"))


def test_a_symbolic_link_is_followed(key_file: KeyFile, tmp_path: Path) -> None:
    """What counts is the file behind a symbolic link, as Kubernetes mounts it."""
    link = tmp_path / "link"
    link.symlink_to(key_file.path)
    assert checks_out({"TUNNEL": "source", "TUNNEL_KEY_FILE": str(link)})

    key_file.path.chmod(0o644)
    assert not checks_out({"TUNNEL": "source", "TUNNEL_KEY_FILE": str(link)})


@COMMANDS
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        ("", "no key in the file"),
        ("hunter2\n", "line 1: expected a key"),
        ("ambassador-key-1:" + "A" * 48 + "\n", "line 1: "),
    ],
)
def test_what_is_no_key_is_told(key_file: KeyFile, verb: str, content: str | None, told: str) -> None:
    """A file without a proper key is refused, and no word of it is repeated."""
    if content is None:
        key_file.path.unlink()
    else:
        key_file.path.write_text(content)

    code, errors = said(verb, key_file.settings("source"))

    assert code == 2
    assert told in errors
    assert "hunter2" not in errors
    assert "AAAA" not in errors


@COMMANDS
@pytest.mark.parametrize("role", ["source", "target"])
def test_a_tunnel_needs_exactly_one_kind_of_proof(authority: Authority, tmp_path: Path, verb: str, role: str) -> None:
    """A tunnel with neither a key nor certificates, or with both, does not start: there is no plain fallback."""
    code, errors = said(verb, {"TUNNEL": role})
    assert code == 2
    assert "AMBASSADOR_TUNNEL_KEY_FILE" in errors

    code, errors = said(verb, {**authority.settings(role), "TUNNEL_KEY_FILE": str(tmp_path / "any.key")})
    assert code == 2
    assert "both a key and certificates" in errors


if not SHARED_KEYS:

    @COMMANDS
    def test_an_older_python_has_no_shared_keys(tmp_path: Path, verb: str) -> None:
        """Before Python 3.13 a shared key is a configuration error that says so."""
        code, errors = said(verb, {"TUNNEL": "source", "TUNNEL_KEY_FILE": str(tmp_path / "any.key")})
        assert code == 2
        assert "Python 3.13" in errors


def test_the_readme_s_line_makes_a_key_that_is_taken(tmp_path: Path) -> None:
    """`(umask 077; ambassador keygen >tunnel.key)` makes a file that both ends take as it is."""
    if not SHARED_KEYS:
        pytest.skip("shared keys need Python 3.13")
    line = f"(umask 077; {shlex.quote(sys.executable)} -m ambassador keygen >{shlex.quote(str(tmp_path))}/tunnel.key)"
    subprocess.run(["sh", "-c", line], check=True, env=environment(dict(os.environ)))

    for role in ("source", "target"):
        assert checks_out({"TUNNEL": role, "TUNNEL_KEY_FILE": str(tmp_path / "tunnel.key")})
