"""What a serving process renounces before it serves, so that whoever finds a hole in it gets hold of less.

Landlock lets it read what it still has to read, and nothing else: the files that settings name, which are read again
when they change; what the name service reads; Python's own, for modules that are imported late and for the helper
process; /proc, for metrics. It changes no file but /dev/null, and runs no program but this Python.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ambassador
from ambassador.config.rules import tunnel_roles
from ambassador.net import privileges
from ambassador.upstream.resolve import HOSTS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ambassador.config.settings import Settings

# Read again whenever they change, as files that settings name are.
_READ_AGAIN = (HOSTS_FILE, "/etc/resolv.conf")
# Files of the C library and of OpenSSL, which stay as they are. Authorities' certificates on Debian are links to /usr.
_SYSTEM = (
    "/etc/gai.conf", "/etc/host.conf", "/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/services",
    "/etc/crypto-policies", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf", "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf", "/dev/urandom", "/proc",
)  # fmt: skip
# Where distributions keep programs and libraries: an extension module that is imported late may need any of these.
_PROGRAMS = ("/usr", "/lib", "/lib64", "/opt", "/nix/store", "/gnu/store")
_CHANGEABLE = ("/dev/null",)
# Links within links end somewhere (path_resolution(7)).
_MOST_LINKS = 40
# The dynamic loader (ld.so(8)), as its file is named on one architecture or another; musl's, too.
_LOADER = re.compile(r" (/\S*/ld(?:-|64\.so|\.so)[^/\s]*)$", re.MULTILINE)

_in_force: int | None = None


def harden(settings: Settings) -> None:
    """Renounce what a process that serves by these settings does not need. What is not to be had is left out.

    Call it after standard error was opened, and before there is a second thread or process: those to come inherit it.
    """
    global _in_force  # noqa: PLW0603 - it is a state of the process
    privileges.forbid_new_privileges()
    if tunnel_roles(settings):
        privileges.forbid_dumps()
    _in_force = privileges.restrict_files(
        readable=_readable(settings), executable=_executable(), changeable=_CHANGEABLE
    )


def landlock() -> int | None:
    """Return the ABI of Landlock by which this process is restricted; None where it is not."""
    return _in_force


def _readable(settings: Settings) -> set[str]:
    named = (str(value) for _, value in settings if isinstance(value, Path))
    again = {place for path in (*named, *_READ_AGAIN) for place in places(path)}
    return {*again, *_SYSTEM, *_PROGRAMS, *_of_python()}


def places(path: str) -> set[str]:
    """Return what has to be readable so that *path* can be read whenever it is replaced, by a file or by links.

    It is the folder of the file, and of each link on the way, but for links in / itself, which are the system's. A file
    that is a mount of its own is never replaced: Docker mounts /etc/hosts so.
    """
    found: set[str] = set()
    here, ahead, links = "/", os.path.abspath(path).split("/")[::-1], 0
    while ahead:
        name = ahead.pop()
        there = os.path.normpath(os.path.join(here, name))
        try:
            target = os.readlink(there)
        except OSError:
            here = there
            continue
        links += 1
        if links > _MOST_LINKS:
            return found
        if here != "/":
            found.add(here)
        ahead += target.split("/")[::-1]
        here = "/" if target.startswith("/") else here
    folder = os.path.dirname(here)
    return {*found, here if _is_mount(here, folder) else folder}


def _is_mount(path: str, folder: str) -> bool:
    """Tell whether *path* is on another mount than its folder (proc_pid_fdinfo(5)); not, where that is not told."""
    try:
        one, other = _mount(path), _mount(folder)
    except OSError:
        return False
    return one != other


def _mount(path: str) -> str | None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{place}", encoding="ascii") as file:
            return next((line for line in file if line.startswith("mnt_id:")), None)
    finally:
        os.close(place)


def _of_python() -> Iterator[str]:
    """Yield where this Python is, and whatever folder modules came from."""
    origins = {origin for module in tuple(sys.modules.values()) if (origin := getattr(module, "__file__", None))}
    folders = {sys.prefix, sys.base_prefix, *sys.path}
    yield os.path.dirname(ambassador.__file__)
    yield from (path for path in folders if len(path) > 1 and any(origin.startswith(f"{path}/") for origin in origins))


def _executable() -> Iterable[str]:
    """Return what the kernel opens to start this Python again: its file, and the dynamic loader's."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            loaders = set(_LOADER.findall(file.read()))
    except OSError:  # pragma: no cover - there is no /proc
        loaders = set()
    return {os.path.realpath(sys.executable), *loaders} if sys.executable else loaders
