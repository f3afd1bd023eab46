"""Whose the files of secrets and their folders may be, and how they are mended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ambassador.config import files as config_files
from ambassador.config.files import look
from ambassador.tunnel.files import UnusableFileError, lend, text
from tests.support.owners import STRANGER, acting_as, mend, needs_root, open_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file with a secret, in a folder whose name needs quotes."""
    folder = tmp_path / "it's here"
    folder.mkdir(0o700)
    path = folder / "tunnel.key"
    path.write_text("secret")
    path.chmod(0o600)
    return path


def read(path: Path, *, secret: bool = True) -> str:
    """Return the text of a file as it is judged now."""
    return text(look(str(path), in_folder=True), secret=secret)


def refusal(path: Path) -> str:
    """Return why a secret is refused."""
    with pytest.raises(UnusableFileError) as refused:
        read(path)
    return str(refused.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640, 0o550])
def test_a_file_of_owner_and_group_is_read(secret: Path, mode: int) -> None:
    """What only the owner writes and others cannot read is well, also Kubernetes' 0440."""
    secret.chmod(mode)

    assert read(secret) == "secret"


@pytest.mark.parametrize("mode", [0o644, 0o444, 0o604, 0o620, 0o660, 0o602, 0o666, 0o777])
def test_an_open_file_is_refused_with_the_command_that_mends_it(secret: Path, mode: int) -> None:
    """A secret that others may read, or group or others may write, is told with a chmod after which it is read."""
    secret.chmod(mode)

    said = refusal(secret)

    assert f"(mode {mode:04o}, of uid {os.geteuid()})" in said
    assert len(mend(said)) == 1
    assert read(secret) == "secret"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702, 0o1770])
def test_an_open_folder_is_refused_with_the_command_that_mends_it(secret: Path, mode: int) -> None:
    """Who may write in the folder could rename another key into its place, whatever the mode of the key."""
    secret.parent.chmod(mode)
    if mode & 0o1000 and os.geteuid() == 0:
        os.chown(secret.parent, STRANGER, 0)

    said = refusal(secret)

    assert f"its folder {secret.parent}" in said
    mend(said)
    assert read(secret) == "secret"


@needs_root
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_belongs_to_a_stranger_is_refused_with_the_command_that_mends_it(secret: Path, what: str) -> None:
    """A stranger could change the mode of what is his at any time; the message names him, and both ways out."""
    os.chown(secret if what == "file" else secret.parent, STRANGER, STRANGER)

    said = refusal(secret)

    assert f"belongs to uid {STRANGER}, not to root, who runs this" in said
    assert f"--user {STRANGER}:{STRANGER}" in said
    assert len(mend(said)) == 1
    assert read(secret) == "secret"


@needs_root
def test_all_that_is_wrong_is_told_at_once(secret: Path) -> None:
    """After all the commands of one message the file is taken."""
    for path in (secret, secret.parent):
        os.chown(path, STRANGER, STRANGER)
        path.chmod(0o777)

    assert len(mend(refusal(secret))) == 4
    assert read(secret) == "secret"


@needs_root
def test_a_file_of_root_or_its_own_is_well_for_any_user() -> None:
    """A user takes what is root's or its own, also where the folder is the other's, and nothing of a third."""
    with open_folder() as folder:
        path = folder / "tunnel.key"
        path.write_text("secret")
        for owner, of_folder in ((0, 0), (STRANGER, 0), (0, STRANGER), (STRANGER, STRANGER)):
            os.chown(path, owner, STRANGER)
            path.chmod(0o440)
            os.chown(folder, of_folder, 0)
            with acting_as(STRANGER):
                assert read(path) == "secret"
        os.chown(path, STRANGER + 1, 0)
        path.chmod(0o600)
        with acting_as(STRANGER):
            said = refusal(path)
    assert f"not readable by this process (uid {STRANGER}), its owner is uid {STRANGER + 1}" in said
    assert f"chown {STRANGER} {path}, or run the container as its owner: --user {STRANGER + 1}:0" in said
    assert "belongs" not in said


@needs_root
def test_a_sticky_folder_of_root_is_well(secret: Path) -> None:
    """Nobody can rename what is another's in a folder like /tmp, or the volume of a Kubernetes secret."""
    secret.parent.chmod(0o1777)

    assert read(secret) == "secret"


@needs_root
def test_a_folder_that_cannot_be_entered_is_told_with_the_command_that_mends_it() -> None:
    """Of a file behind a closed folder the folder's owner is told; its own owner and mode are not guessed at."""
    with open_folder() as folder:
        (folder / "closed").mkdir(0o700)
        path = folder / "closed" / "tunnel.key"
        path.write_text("secret")
        path.chmod(0o600)
        with acting_as(STRANGER):
            said = refusal(path)
        assert f"its folder {path.parent} is closed to it (mode 0700, of uid 0)" in said
        assert mend(said) == [f"chown {STRANGER} {path.parent} {path}"]
        with acting_as(STRANGER):
            assert read(path) == "secret"

        folder.chmod(0o700)
        with acting_as(STRANGER):
            said = refusal(path)
    assert said == f"not readable by this process (uid {STRANGER}); give it access to the folders above"


def test_the_command_that_mends_is_one_line(tmp_path: Path) -> None:
    """A path with a line break in it does not break the message."""
    path = tmp_path / "two\nlines"
    path.touch()
    path.chmod(0o666)

    assert refusal(path).isprintable()


def test_a_certificate_may_be_open(secret: Path) -> None:
    """What is no secret is read whatever its mode and its folder's."""
    secret.chmod(0o666)
    secret.parent.chmod(0o777)

    assert read(secret, secret=False) == "secret"


def test_a_symbolic_link_is_followed(secret: Path, tmp_path: Path) -> None:
    """A link, whose own mode is always 0777, is judged by what it leads to, and by the folder of that."""
    link = tmp_path / "open" / "link"
    link.parent.mkdir()
    link.parent.chmod(0o777)
    link.symlink_to(secret)
    assert read(link) == "secret"

    secret.chmod(0o644)
    assert "readable by others" in refusal(link)
    secret.chmod(0o600)
    secret.parent.chmod(0o777)
    assert f"chmod go-w '{tmp_path}/it'\"'\"'s here'" in refusal(link)


def test_a_volume_of_kubernetes_is_read(tmp_path: Path) -> None:
    """Of a volume as Kubernetes makes it the folder behind `..data` counts."""
    volume = tmp_path / "volume"
    (volume / "..2026_11_28").mkdir(parents=True)
    volume.chmod(0o1777)
    (volume / "..2026_11_28").chmod(0o2755)
    (volume / "..data").symlink_to("..2026_11_28")
    (volume / "tunnel.key").symlink_to("..data/tunnel.key")
    (volume / "..2026_11_28" / "tunnel.key").write_text("secret")
    (volume / "..2026_11_28" / "tunnel.key").chmod(0o440)

    assert read(volume / "tunnel.key") == "secret"


def test_mounted_secrets_are_not_judged(secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the folder of secrets any mode is well; a link that leads out of it is judged."""
    mounted = tmp_path / "run" / "secrets"
    mounted.mkdir(parents=True)
    mounted.chmod(0o777)
    (tmp_path / "var").symlink_to(tmp_path / "run")
    monkeypatch.setattr(config_files, "SECRETS", (str(mounted),))
    inside = mounted / "key"
    inside.write_text("secret")
    inside.chmod(0o444)
    if os.geteuid() == 0:
        os.chown(inside, STRANGER, STRANGER)
    assert read(inside) == "secret"
    assert read(tmp_path / "var" / "secrets" / "key") == "secret"

    secret.chmod(0o444)
    (mounted / "elsewhere").symlink_to(secret)
    with pytest.raises(UnusableFileError):
        read(mounted / "elsewhere")


def test_the_folders_of_secrets_are_those_of_docker_and_kubernetes() -> None:
    """The folders that are not judged are the two that the contract names."""
    assert config_files.SECRETS == ("/run/secrets", "/var/run/secrets")


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
    assert refusal(path).startswith("cannot read the file: ")


def test_what_is_lent_is_there_for_a_while() -> None:
    """A lent path has the content, all of it, and leads nowhere afterwards."""
    content = os.urandom(1 << 20)
    with lend(content) as path:
        with open(path, "rb") as file:
            assert file.read() == content
        descriptors = len(os.listdir("/proc/self/fd"))
    assert not os.path.exists(path)
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1
