"""Files of keys and certificates: the input is their content, each after a line that says which it is.

`=== key` begins a file of shared keys; `=== certificate`, `=== private key` and `=== authority` are those of
certificates.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ambassador.config.files import look
from ambassador.errors import ConfigurationError
from ambassador.tunnel.credentials import SHARED_KEYS, Credentials, TunnelFiles
from ambassador.tunnel.keys import PREFIX, KeyFileError, _written, identity, parse

WORDS = (
    b"=== key\n", b"=== certificate\n", b"=== private key\n", b"=== authority\n", PREFIX.encode(), b"#", b"\n", b"\r",
    b"\0", b"=", b"-----BEGIN CERTIFICATE-----\n", b"\n-----END CERTIFICATE-----\n", b"-----BEGIN PRIVATE KEY-----\n",
    b"\n-----END PRIVATE KEY-----\n", b"-----BEGIN EC PRIVATE KEY-----\n", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    b"Proc-Type: 4,ENCRYPTED\n", b"DEK-Info: AES-256-CBC,00\n\n", b"-----BEGIN TRUSTED CERTIFICATE-----\n",
    b"-----BEGIN X509 CRL-----\n", b"\xff", b"\xef\xbb\xbf",
)  # fmt: skip
LONGEST = 3000
_PARTS = ("certificate", "private key", "authority")
_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz")
_PATHS = {name: Path(_FOLDER.name) / name.replace(" ", "-") for name in ("key", *_PARTS)}


def check(data: bytes) -> None:
    """Load them, as a source and as a target: they are loaded, or one line for each problem, with nothing of theirs."""
    pieces = re.split(rb"^=== (key|certificate|private key|authority)\n", data, flags=re.MULTILINE)
    parts = {name.decode(): content for name, content in zip(pieces[1::2], pieces[2::2], strict=True)}
    _parse(parts.get("key", data).decode("utf-8", "replace"))
    if "key" in parts and not SHARED_KEYS:
        return
    for name, path in _PATHS.items():
        path.write_bytes(parts.get(name, b""))
        path.chmod(0o600)
    for server_side in (False, True):
        if "key" in parts:
            files = TunnelFiles(server_side=server_side, key=_PATHS["key"])
        else:
            certificate, private_key, authority = (_PATHS[name] for name in _PARTS)
            files = TunnelFiles(
                server_side=server_side, certificate=certificate, private_key=private_key, authority=authority
            )
        for line in _problems(files):
            assert line.isprintable()
            assert len(line) < 400


def _problems(files: TunnelFiles) -> list[str]:
    # Looked at in this process: a child for each, as elsewhere, would take most of the time.
    looks = {path: look(str(path), in_folder=True) for path in files.named().values()}
    try:
        Credentials(files, looks).tunnel.codec("source.example")
    except ConfigurationError as error:
        return str(error).split("\n")
    return []


def _parse(text: str) -> None:
    try:
        keys = parse(text)
    except KeyFileError as error:
        unknown = set(map(_shape, error.lines)) - _SHAPES
    else:
        unknown = set[str]()
        assert keys
        assert parse("\n".join(map(_written, keys))) == keys
        assert all(identity(key).isprintable() for key in keys)
    assert not unknown


def _shape(line: str) -> str:
    return re.sub(r"\b\d+\b", "N", line)


def _shapes() -> set[str]:
    """Return all that is said of keys, by wrong ones that hold nothing else: no line of a file can be in it."""
    short, weak = PREFIX + "short", _written(bytes(32))
    shapes: set[str] = set()
    for wrong in ("", "nonsense", short, PREFIX + "+" * 48, weak, weak[:-1] + "_"):
        try:
            parse(wrong)
        except KeyFileError as error:
            shapes.update(map(_shape, error.lines))
    assert len(shapes) == 6
    return shapes


_SHAPES = _shapes()
