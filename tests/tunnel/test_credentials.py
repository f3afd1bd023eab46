"""Keys and certificates as the settings name them: refused with all that is wrong, and exchanged without a restart."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.errors import ConfigurationError
from ambassador.tunnel import Credentials, HandshakeError, TunnelFiles, credentials, generate

if TYPE_CHECKING:
    from collections.abc import Callable

    Refusals = Callable[[Any, Any], tuple[str, str]]


def problems_of(source: TunnelFiles) -> dict[str, str]:
    """Return what is wrong with *source*, by variable."""
    with pytest.raises(ConfigurationError) as refused:
        Credentials(source)
    return {problem.variable: f"{problem.wrong}; {problem.right}" for problem in refused.value.problems}


@pytest.fixture
def key_file(key_folder: Path, tmp_path: Path) -> Path:
    """Return a file with one key."""
    return written(tmp_path / "tunnel.key", generate())


def written(path: Path, *lines: str) -> Path:
    """Write a key file as a careful user does: readable for nobody else, renamed into its place."""
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines))
    new.chmod(0o600)
    return new.rename(path)


def test_an_openssl_without_shared_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TLS-PSK is missing a key file is refused with what would do, not ignored."""
    monkeypatch.setattr(credentials, "SHARED_KEYS", False)

    told = problems_of(TunnelFiles(server_side=True, key=tmp_path / "key"))["AMBASSADOR_TUNNEL_KEY_FILE"]

    assert told == "this OpenSSL is built without shared keys; use the image, or certificates"


@pytest.mark.parametrize("value", ["ambassador-key-1:hunter2/x", "-----BEGIN\nhunter2\n", "/run/x\nhunter2"])
@pytest.mark.parametrize("certificates", [False, True])
def test_a_secret_in_its_path_s_place_is_masked(value: str, *, certificates: bool) -> None:
    """A key where its path belongs is in no line, and a path of two lines makes no second one."""
    file = Path(value)
    source = TunnelFiles(server_side=True, key=file)
    if certificates:
        source = TunnelFiles(server_side=True, certificate=file, private_key=file, authority=file)
    with pytest.raises(ConfigurationError) as refused:
        Credentials(source)

    assert "hunter2" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == len(refused.value.problems)


def test_a_key_file_is_refused_line_by_line(key_file: Path) -> None:
    """Every wrong line of the key file is a problem of its own."""
    written(key_file, "nonsense", generate(), "more nonsense")
    with pytest.raises(ConfigurationError) as refused:
        Credentials(TunnelFiles(server_side=True, key=key_file))

    assert [problem.wrong[:6] for problem in refused.value.problems] == ["line 1", "line 3"]
    assert "nonsense" not in str(refused.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_key_file_may_begin_with_the_mark_of_utf_8(key_file: Path, end: str) -> None:
    """A byte order mark, which editors write without being asked, is no part of the first key."""
    key_file.write_bytes(f"\ufeff{generate()}{end}".encode())

    Credentials(TunnelFiles(server_side=True, key=key_file))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_key_file_in_utf_16_is_told_with_what_to_do(key_file: Path, encoding: str) -> None:
    """What PowerShell's redirection writes is called by its name."""
    key_file.write_text(generate(), encoding=encoding)

    told = problems_of(TunnelFiles(server_side=True, key=key_file))["AMBASSADOR_TUNNEL_KEY_FILE"]

    assert "UTF-16" in told
    assert "save it as UTF-8" in told


def test_certificates_may_begin_with_the_mark_of_utf_8(authority: Any) -> None:
    """A byte order mark before a PEM file is passed over by OpenSSL as well."""
    source = authority.files("a", server_side=True)
    copy = authority.write("marked.pem", authority.file.read_bytes())
    for file in (source.certificate, source.private_key, copy):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    Credentials(dataclasses.replace(source, authority=copy))


@pytest.mark.parametrize("name", ["certificate", "private_key", "authority"])
def test_certificates_in_utf_16_are_told_with_what_to_do(authority: Any, name: str) -> None:
    """Of three files the one in UTF-16 is named as such."""
    source = authority.files("a", server_side=True)
    source = dataclasses.replace(source, authority=authority.write("wide.pem", authority.file.read_bytes()))
    file: Path = getattr(source, name)
    file.write_text(file.read_text(), encoding="utf-16")

    (told,) = problems_of(source).values()

    assert "UTF-16" in told


def test_open_files_are_refused(key_file: Path, authority: Any) -> None:
    """A key file and a private-key file that others may read are refused, a certificate's is not judged."""
    key_file.chmod(0o644)
    assert "chmod" in problems_of(TunnelFiles(server_side=True, key=key_file))["AMBASSADOR_TUNNEL_KEY_FILE"]

    source = authority.files("a", server_side=True)
    source.certificate.chmod(0o666)
    Credentials(source)
    source.private_key.chmod(0o640)
    Credentials(source)
    source.private_key.chmod(0o644)
    assert list(problems_of(source)) == ["AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE"]


def _encrypt(source: TunnelFiles, _other: TunnelFiles) -> None:
    assert source.private_key
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:word", "-in", str(source.private_key)]
    source.private_key.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)


def _exchange(source: TunnelFiles, other: TunnelFiles) -> None:
    assert source.private_key
    assert other.private_key
    source.private_key.write_bytes(other.private_key.read_bytes())


def _truncate(name: str) -> Callable[[TunnelFiles, TunnelFiles], None]:
    def truncate(source: TunnelFiles, _other: TunnelFiles) -> None:
        path: Path = getattr(source, name)
        path.write_bytes(path.read_bytes()[:100])

    return truncate


def _remove(name: str) -> Callable[[TunnelFiles, TunnelFiles], None]:
    return lambda source, _other: getattr(source, name).unlink()


def _swap(source: TunnelFiles, _other: TunnelFiles) -> None:
    assert source.private_key
    assert source.certificate
    source.certificate.write_bytes(source.private_key.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "variable", "told"),
    [
        (_encrypt, "PRIVATE_KEY_FILE", "the private key is encrypted"),
        (_exchange, "PRIVATE_KEY_FILE", "does not belong to the certificate"),
        (_truncate("private_key"), "PRIVATE_KEY_FILE", "invalid private key in the file"),
        (_truncate("certificate"), "CERT_FILE", "invalid certificate in the file"),
        (_truncate("authority"), "CA_FILE", "invalid certificate in the file"),
        (_remove("private_key"), "PRIVATE_KEY_FILE", "cannot read the file: No such file"),
        (_remove("certificate"), "CERT_FILE", "cannot read the file: No such file"),
        (_remove("authority"), "CA_FILE", "cannot read the file: No such file"),
        (_swap, "CERT_FILE", "no certificate in the file"),
    ],
)
def test_the_wrong_one_of_three_files_is_named(
    authority: Any, spoil: Callable[..., None], variable: str, told: str
) -> None:
    """Of certificate, private key and authority the problem names the one that is spoilt, and how."""
    source, other = (authority.files("a", server_side=True) for _ in range(2))
    copy = authority.write("copy.pem", authority.file.read_bytes())
    source = dataclasses.replace(source, authority=copy)
    spoil(source, other)

    problems = problems_of(source)

    assert list(problems) == [f"AMBASSADOR_TUNNEL_{variable}"]
    assert told in problems[f"AMBASSADOR_TUNNEL_{variable}"]


def test_keys_are_exchanged_without_an_outage(tmp_path: Path, key_folder: Path, refusals: Refusals) -> None:
    """Old key, both on one side, both on the other, new key alone: at every step a connection comes about."""
    old, new = generate(), generate()
    files = [written(tmp_path / f"{name}.key", old) for name in ("target", "source")]
    target, source = (Credentials(TunnelFiles(server_side=side == 1, key=path)) for side, path in enumerate(files))
    for side, keys in ((1, (old, new)), (0, (new, old)), (1, (new,)), (0, (new,))):
        assert refusals(target.tunnel.codec(), source.tunnel.codec()) == ("", "")
        written(files[side], *keys)
        assert (target, source)[side].reload()
    assert refusals(target.tunnel.codec(), source.tunnel.codec()) == ("", "")


def test_a_removed_key_no_longer_enters(key_file: Path, refusals: Refusals) -> None:
    """After a reload the old key is refused, also with the session of a connection from before; that one lives on."""
    target, source = (Credentials(TunnelFiles(server_side=side, key=key_file)) for side in (False, True))
    ends = target.tunnel.codec(), source.tunnel.codec()
    assert refusals(*ends) == ("", "")
    session = ends[0]._tls.session
    assert session is not None
    assert not session.has_ticket
    written(key_file, generate())
    assert source.reload()

    again = target.tunnel.codec()
    again._tls.session = session
    assert refusals(again, source.tunnel.codec())[1] == "the peer offers no known key"
    assert bytes(ends[1].decrypt(ends[0].encrypt(b"still here"))) == b"still here"


def test_unchanged_files_are_not_read_again(key_file: Path) -> None:
    """Without a change the contexts stay, unless a reload is forced, as by SIGHUP."""
    keys = Credentials(TunnelFiles(server_side=True, key=key_file))
    before = keys.tunnel

    assert not keys.reload()
    assert keys.tunnel is before
    assert keys.reload(force=True)
    assert keys.tunnel is not before


def test_broken_new_keys_are_refused_and_the_old_stay(key_file: Path, refusals: Refusals) -> None:
    """A broken file is told once, changes nothing, and is read again as soon as it is mended."""
    old = key_file.read_text()
    keys = Credentials(TunnelFiles(server_side=True, key=key_file))
    target = Credentials(TunnelFiles(server_side=False, key=key_file))
    written(key_file, "ambassador-key-1:oops")
    with pytest.raises(ConfigurationError, match="line 1"):
        keys.reload()
    assert not keys.reload()
    with pytest.raises(ConfigurationError):
        keys.reload(force=True)
    assert refusals(target.tunnel.codec(), keys.tunnel.codec()) == ("", "")

    key_file.unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        keys.reload()
    written(key_file, old)
    assert keys.reload()
    key_file.chmod(0o604)
    with pytest.raises(ConfigurationError, match="chmod o-r"):
        keys.reload()
    key_file.chmod(0o600)
    assert keys.reload()


def test_certificates_are_exchanged(authority: Any, stranger: Any, refusals: Refusals) -> None:
    """A new certificate is used from the reload on; a half-done exchange is refused, and taken when it is complete."""
    live = authority.files("target.example", server_side=False)
    target = Credentials(live)
    source = Credentials(authority.files("source.example", server_side=True))
    new = stranger.files("target.example", server_side=False)
    live.certificate.write_bytes(new.certificate.read_bytes())
    with pytest.raises(ConfigurationError, match="does not belong to the certificate"):
        target.reload()
    assert refusals(target.tunnel.codec("source.example"), source.tunnel.codec()) == ("", "")

    live.private_key.write_bytes(new.private_key.read_bytes())
    assert target.reload()
    assert "was refused" in refusals(target.tunnel.codec("source.example"), source.tunnel.codec())[1]


def test_the_exchange_of_kubernetes_is_noticed(tmp_path: Path, key_folder: Path) -> None:
    """A mounted secret changes by a swap of the folder that its links lead through."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "key", generate())
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "key").symlink_to("data/key")
    keys = Credentials(TunnelFiles(server_side=True, key=tmp_path / "key"))
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")

    assert keys.reload()


def test_a_source_has_no_use_for_a_host(key_file: Path) -> None:
    """In key mode neither side says a name, so none is on the wire."""
    codec = Credentials(TunnelFiles(server_side=False, key=key_file)).tunnel.codec("db.example")
    codec.handshake()

    assert b"db.example" not in codec.outgoing()
    with pytest.raises(HandshakeError):
        codec.handshake(b"HTTP/1.1 400 Bad Request\r\n\r\n")
