"""The modes of the files that hold secrets, and how a change of a file is noticed."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from ambassador.tunnel import files
from ambassador.tunnel.files import UnusableFileError, read, signature

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file with a secret, in a folder whose name needs quotes."""
    folder = tmp_path / "it's here"
    folder.mkdir()
    path = folder / "tunnel.key"
    path.write_text("secret")
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640, 0o550])
def test_a_file_of_owner_and_group_is_read(secret: Path, mode: int) -> None:
    """What only the owner writes and others cannot read is well, also Kubernetes' 0440."""
    secret.chmod(mode)

    assert read(secret, secret=True) == "secret"


@pytest.mark.parametrize("mode", [0o644, 0o444, 0o604, 0o620, 0o660, 0o602, 0o666, 0o777])
def test_an_open_file_is_refused_with_the_command_that_mends_it(secret: Path, mode: int) -> None:
    """A secret that others may read, or group or others may write, is told with a chmod after which it is read."""
    secret.chmod(mode)
    with pytest.raises(UnusableFileError, match=f"mode {mode:04o}") as refused:
        read(secret, secret=True)

    command = refused.value.right.partition(" (")[0]
    assert command.startswith("chmod ")
    subprocess.run(shlex.split(command), check=True)
    assert read(secret, secret=True) == "secret"


def test_the_command_that_mends_is_one_line(tmp_path: Path) -> None:
    """A path with a line break in it does not break the message."""
    path = tmp_path / "two\nlines"
    path.touch(0o666)
    path.chmod(0o666)
    with pytest.raises(UnusableFileError) as refused:
        read(path, secret=True)

    assert str(refused.value).isprintable()


def test_a_certificate_may_be_open(secret: Path) -> None:
    """What is no secret is read whatever its mode."""
    secret.chmod(0o666)

    assert read(secret, secret=False) == "secret"


def test_a_symbolic_link_is_followed(secret: Path, tmp_path: Path) -> None:
    """A link, whose own mode is always 0777, is judged by what it leads to."""
    link = tmp_path / "link"
    link.symlink_to(secret)
    secret.chmod(0o600)
    assert read(link, secret=True) == "secret"

    secret.chmod(0o644)
    with pytest.raises(UnusableFileError, match="readable by others"):
        read(link, secret=True)


def test_mounted_secrets_are_not_judged(secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the folder of secrets any mode is well; a link that leads out of it is judged."""
    mounted = tmp_path / "run" / "secrets"
    mounted.mkdir(parents=True)
    (tmp_path / "var").symlink_to(tmp_path / "run")
    monkeypatch.setattr(files, "_UNJUDGED", (str(mounted),))
    inside = mounted / "key"
    inside.write_text("secret")
    inside.chmod(0o444)
    assert read(inside, secret=True) == "secret"
    assert read(tmp_path / "var" / "secrets" / "key", secret=True) == "secret"

    secret.chmod(0o444)
    (mounted / "elsewhere").symlink_to(secret)
    with pytest.raises(UnusableFileError):
        read(mounted / "elsewhere", secret=True)


def test_the_folders_of_secrets_are_those_of_docker_and_kubernetes() -> None:
    """The folders that are not judged are the two that the contract names."""
    assert files._UNJUDGED == ("/run/secrets", "/var/run/secrets")


@pytest.mark.parametrize("what", ["folder", "pipe", "missing", "large"])
def test_what_is_no_file_of_a_tunnel_is_refused(tmp_path: Path, what: str) -> None:
    """A folder, a pipe that nobody writes to, nothing, and a file without measure are told at once."""
    path = tmp_path / what
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path, 0o600)
    elif what == "large":
        path.write_bytes(bytes(2 << 20))
        path.chmod(0o600)
    with pytest.raises(UnusableFileError):
        read(path, secret=True)


def test_a_forbidden_file_is_told_with_what_would_help(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who may not read the file learns who may, and how to become that user."""
    owner = secret.stat()
    monkeypatch.setattr(files, "read_small", _forbid)
    with pytest.raises(UnusableFileError) as refused:
        read(secret, secret=False)

    assert f"not readable by this process (uid {os.getuid()})" in refused.value.wrong
    assert f"--user {owner.st_uid}:{owner.st_gid}" in refused.value.right


def _forbid(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_every_change_of_a_file_shows(secret: Path, tmp_path: Path) -> None:
    """Writing, replacing, mending the mode, swapping what a link leads to, and removal each make another signature."""
    link = tmp_path / "link"
    link.symlink_to(secret)
    seen = [signature(link)]
    secret.write_text("longer secret")
    seen.append(signature(link))
    os.utime(secret, ns=(1, 1))
    seen.append(signature(link))
    other = tmp_path / "other"
    other.write_text("longer secret")
    os.utime(other, ns=(1, 1))
    (tmp_path / "new").symlink_to(other)
    (tmp_path / "new").rename(link)
    seen.append(signature(link))
    other.unlink()
    seen.append(signature(link))

    assert len(set(seen)) == len(seen)
    assert seen[-1] is None
