"""A tunnel's files as their users get them wrong: `run` and `check` say so, and how to mend it, and end with 2."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.tunnel.credentials import SHARED_KEYS
from tests.support.cases import quick
from tests.support.deadline import eventually
from tests.support.fuse import hanging_folder
from tests.support.net import free_port
from tests.support.owners import STRANGER, mend, needs_root
from tests.support.process import command, environment

if TYPE_CHECKING:
    from tests.conftest import Launch
    from tests.support.proofs import Authority, KeyFile

COMMANDS = pytest.mark.parametrize("verb", quick(1, ["check", "run"]))

# A prelude: another file system over /proc, in a mount namespace of its own.
WITHOUT_PROC = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert not libc.unshare(0x20000), ctypes.get_errno()
assert not libc.mount(b"none", b"/", None, 0x44000, None), ctypes.get_errno()
assert not libc.mount(b"none", b"/proc", b"tmpfs", 0, None), ctypes.get_errno()
"""


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


@COMMANDS
def test_a_folder_that_others_may_write_is_told_with_the_command_that_mends_it(key_file: KeyFile, verb: str) -> None:
    """A key in a folder where others could put another in its place is refused, however closed it is itself."""
    folder = key_file.path.parent
    folder.chmod(0o777)

    code, errors = said(verb, key_file.settings("source"))

    assert code == 2
    assert f"AMBASSADOR_TUNNEL_KEY_FILE={key_file.path}: its folder {folder} is writable by group or others" in errors
    assert mend(errors) == [f"chmod go-w {folder}"]
    assert checks_out(key_file.settings("source"))


@needs_root
@COMMANDS
def test_a_stranger_s_key_is_told_with_the_command_that_mends_it(authority: Authority, verb: str) -> None:
    """Root does not take a private key that belongs to another, though it could read it."""
    settings = authority.settings("target")
    os.chown(settings["TUNNEL_PRIVATE_KEY_FILE"], STRANGER, STRANGER)

    code, errors = said(verb, settings)

    assert code == 2
    assert f"belongs to uid {STRANGER}" in errors
    assert mend(errors) == [f"chown 0 {settings['TUNNEL_PRIVATE_KEY_FILE']}"]
    assert checks_out(settings)


@pytest.mark.slow
@COMMANDS
@pytest.mark.parametrize("name", ["TUNNEL_KEY_FILE", "TUNNEL_PRIVATE_KEY_FILE", "LOG_LEVEL_FILE"])
def test_a_file_that_hangs_is_told(authority: Authority, tmp_path: Path, verb: str, name: str) -> None:
    """A start does not wait for ever for a file system that is gone: it ends with 2, and names the file."""
    settings = authority.settings("source")
    if name == "TUNNEL_KEY_FILE":
        if not SHARED_KEYS:
            pytest.skip("shared keys need Python 3.13")
        settings = {"TUNNEL": "source"}
    with hanging_folder(tmp_path / "gone") as folder:
        folder.hangs = True
        code, errors = said(verb, {**settings, name: str(folder.path)})

    assert code == 2
    assert f"AMBASSADOR_{name}={folder.path}: " in errors
    assert "its file system has not answered within 5 s" in errors


def test_a_start_that_hangs_can_be_ended(ambassador: Launch, tmp_path: Path) -> None:
    """SIGTERM ends a start that waits for a file."""
    with hanging_folder(tmp_path / "gone") as folder:
        folder.hangs = True
        starting = ambassador("redis:6379", settings={"LOG_LEVEL_FILE": str(folder.path)}, wait=False)
        eventually(lambda: folder.asked, "a look")
        starting.signal(signal.SIGTERM)
        assert starting.exit_code() == 0


@pytest.mark.parametrize("what", ["pipe", "/dev/tty", "/proc/kmsg"])
def test_a_file_that_is_none_is_told(key_file: KeyFile, tmp_path: Path, what: str) -> None:
    """A pipe, a terminal and the kernel's log are refused at once, in a key's place and in any setting's."""
    path = what
    if what == "pipe":
        path = str(tmp_path / "pipe")
        os.mkfifo(path, 0o600)
    for settings in ({"TUNNEL": "source", "TUNNEL_KEY_FILE": path}, {**key_file.settings("source"), "BIND_FILE": path}):
        code, errors = said("check", settings)
        assert code == 2
        assert f"{path}: " in errors


def test_certificates_need_proc(ambassador: Launch, authority: Authority) -> None:
    """Where /proc is not mounted certificates cannot be used, and the message says so."""
    if os.geteuid():
        pytest.skip("only root can unmount it")
    without = ambassador("redis:6379", settings=authority.settings("source"), prelude=WITHOUT_PROC, wait=False)
    assert without.exit_code() == 2
    assert "/proc is not mounted; run with /proc mounted, or use a shared key" in without.said()


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


@pytest.mark.parametrize(("bits", "warned"), [(3072, False), (4096, True)])
def test_a_heavy_key_is_warned_of(ambassador: Launch, tmp_path: Path, bits: int, *, warned: bool) -> None:
    """With an RSA key above 3,072 bits `check` and the start say what to use instead."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    words = ["openssl", "req", "-x509", "-nodes", "-newkey", f"rsa:{bits}", "-keyout", str(key), "-out"]
    subprocess.run([*words, str(certificate), "-subj", "/CN=x"], check=True, capture_output=True)
    key.chmod(0o600)
    files = {"CERT": certificate, "PRIVATE_KEY": key, "CA": certificate}
    settings = {"TUNNEL": "source", **{f"TUNNEL_{name}_FILE": str(path) for name, path in files.items()}}

    env = {f"AMBASSADOR_{name}": value for name, value in settings.items()}
    code, output, _ = command("check", f"127.0.0.1:{free_port()}=redis:6379", env=env)
    started = ambassador(1, settings=settings)

    assert code == 0
    assert (f"an RSA key of {bits} bits" in output) is warned
    warnings = [line["message"] for line in started.named("configuration.warning")]
    assert ["ECDSA" in warning for warning in warnings] == [True] * warned
