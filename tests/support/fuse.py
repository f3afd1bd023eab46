"""A file system whose answers can be held back, as those of a server of files that is gone (fuse(4))."""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import os
import stat
import struct
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Code(enum.IntEnum):
    """What is asked for, from linux/fuse.h."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    RELEASE = 18
    FLUSH = 25
    INIT = 26
    INTERRUPT = 36
    BATCH_FORGET = 42


# The layouts of what is asked and answered, from there, too. Nothing may be remembered: all times are 0.
_HEADER = struct.Struct("=IIQQIIII")
_ANSWER = struct.Struct("=IiQ")
_ATTR = struct.Struct("=QQQQQQIIIIIIIIII")
_INIT = struct.Struct("=IIIIHHIIHHI28x")
_ENTRY = struct.Struct("=QQQQII")
_TIMES = struct.Struct("=QII")
_ROOT, _FILE = 1, 2
_DIRECT_IO = 1
_MNT_DETACH = 2


class HangingFolder:
    """A folder with one file, `tunnel.key`, that nobody else may read. While `hangs` nothing in it is answered.

    Attributes:
        asked: how many requests were held back.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tunnel.key"
        self.content = b""
        self.asked = 0
        self._answers = threading.Event()
        self._answers.set()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folder = str(folder).encode()
        try:
            self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            pytest.skip(f"no FUSE here: {error}")
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0".encode()
        if self._libc.mount(b"none", self._folder, b"fuse", 0, options):
            os.close(self._device)
            pytest.skip(f"no FUSE can be mounted here: {os.strerror(ctypes.get_errno())}")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """Whether it keeps silent."""
        return not self._answers.is_set()

    @hangs.setter
    def hangs(self, value: bool) -> None:
        if value:
            self._answers.clear()
        else:
            self._answers.set()

    def close(self) -> None:
        """Unmount it: whoever still waits gets an error."""
        self._libc.umount2(self._folder, _MNT_DETACH)
        self.hangs = False
        self._thread.join()

    def _serve(self) -> None:
        try:
            while True:
                request = os.read(self._device, 1 << 18)
                _, code, unique, node, *_ = _HEADER.unpack_from(request)
                if code in {_Code.FORGET, _Code.INTERRUPT, _Code.BATCH_FORGET}:
                    continue
                if self.hangs and code != _Code.INIT:
                    self.asked += 1
                    self._answers.wait()
                number, answer = self._answer(code, node, request[_HEADER.size :])
                with contextlib.suppress(FileNotFoundError):  # whoever asked has been killed
                    os.write(self._device, _ANSWER.pack(_ANSWER.size + len(answer), -number, unique) + answer)
        except OSError as error:
            assert error.errno == errno.ENODEV, error  # noqa: PT017 - unmounted
        finally:
            os.close(self._device)

    def _answer(self, code: int, node: int, body: bytes) -> tuple[int, bytes]:
        match code:
            case _Code.INIT:
                return 0, _INIT.pack(7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, 0)
            case _Code.LOOKUP if body.rstrip(b"\0") == self.path.name.encode():
                return 0, _ENTRY.pack(_FILE, 0, 0, 0, 0, 0) + self._attributes(_FILE)
            case _Code.LOOKUP:
                return errno.ENOENT, b""
            case _Code.GETATTR:
                return 0, _TIMES.pack(0, 0, 0) + self._attributes(node)
            case _Code.OPEN:
                return 0, _TIMES.pack(0, _DIRECT_IO, 0)
            case _Code.READ:
                _, offset, size = struct.unpack_from("=QQI", body)
                return 0, self.content[offset : offset + size]
            case _Code.FLUSH | _Code.RELEASE:
                return 0, b""
            case _:
                return errno.ENOSYS, b""

    def _attributes(self, node: int) -> bytes:
        mode = stat.S_IFDIR | 0o755 if node == _ROOT else stat.S_IFREG | 0o600
        return _ATTR.pack(node, len(self.content), 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


@contextlib.contextmanager
def hanging_folder(folder: Path) -> Iterator[HangingFolder]:
    """Mount one at *folder*, for root; skips where that cannot be."""
    if os.geteuid():
        pytest.skip("only root can mount file systems")
    folder.mkdir()
    mounted = HangingFolder(folder)
    try:
        yield mounted
    finally:
        mounted.close()
