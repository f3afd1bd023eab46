"""The relays: ours, and the peers that are installed, each as its manual says and with what helps it to pass."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from oracle.subjects import ROOT, Command, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from oracle.subjects import Commands, Route

_NAIVE = Path(__file__).resolve().parents[1] / "naive.py"
_OURS = (sys.executable, "-m", "ambassador")
# A module that is None cannot be imported: what the ambassador finds where there is no uvloop.
_NO_UVLOOP = """
import runpy, sys
sys.modules["uvloop"] = None
runpy.run_module("ambassador", run_name="__main__", alter_sys=True)
"""
_WITHOUT_UVLOOP = (sys.executable, "-c", _NO_UVLOOP)


def _ambassador(program: Sequence[str]) -> Commands:
    def commands(routes: Sequence[Route], dial_seconds: int, _: Path) -> Sequence[Command]:
        ways = [(route.listen, route.upstream_port) for route in routes]
        return [_ambassador_command(program, ways, {"CONNECT_TIMEOUT": f"{dial_seconds}s"})]

    return commands


def _tunnel(routes: Sequence[Route], dial_seconds: int, folder: Path) -> Sequence[Command]:
    """Put two between the ends: the target dials the source through a tunnel, the source dials the server."""
    key = Path(folder, "key")
    key.touch(mode=0o600)
    key.write_text(subprocess.run([*_OURS, "keygen"], cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    shared = {"CONNECT_TIMEOUT": f"{dial_seconds}s", "TUNNEL_KEY_FILE": str(key)}
    near = [(route.listen, route.middle) for route in routes]
    far = [(route.middle, route.upstream_port) for route in routes]
    return [
        _ambassador_command(_OURS, far, {"TUNNEL": "source", **shared}),
        _ambassador_command(_OURS, near, {"TUNNEL": "target", **shared}),
    ]


def _ambassador_command(program: Sequence[str], ways: Sequence[tuple[int, int]], more: Mapping[str, str]) -> Command:
    links = {f"A_PORT_{listen}_TCP": f"tcp://127.0.0.1:{port}" for listen, port in ways}
    settings = {"ADMIN": "off", "BIND": "127.0.0.1", "DRAIN_TIMEOUT": "0", **more}
    environment = {f"AMBASSADOR_{name}": value for name, value in settings.items()}
    return Command([*program, "run"], links | environment)


def _our_version(loop: str, *, since: tuple[int, int] = (3, 0)) -> Callable[[], str]:
    def version() -> str:
        if sys.version_info < since:
            return ""
        text = f"import ambassador, {loop}; print(ambassador.__version__)"
        done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
        return f"{done.stdout.strip()} ({loop}, Python {platform.python_version()})" if done.stdout else ""

    return version


def _each(
    arguments: Callable[[Route, int], Sequence[str]],
) -> Commands:
    def commands(routes: Sequence[Route], dial_seconds: int, _: Path) -> Sequence[Command]:
        return [Command(arguments(route, dial_seconds)) for route in routes]

    return commands


def _socat(*options: str) -> Callable[[Route, int], Sequence[str]]:
    def arguments(route: Route, dial_seconds: int) -> Sequence[str]:
        listen = f"TCP4-LISTEN:{route.listen},bind=127.0.0.1,fork,reuseaddr"
        return ["socat", *options, listen, f"TCP4:127.0.0.1:{route.upstream_port},connect-timeout={dial_seconds}"]

    return arguments


def _docker_proxy(route: Route, _: int) -> Sequence[str]:
    where = ["-host-ip", "127.0.0.1", "-host-port", str(route.listen)]
    what = ["-container-ip", "127.0.0.1", "-container-port", str(route.upstream_port)]
    # It reports to the engine on descriptor 3.
    return ["sh", "-c", 'exec 3>/dev/null; exec "$0" "$@"', "docker-proxy", "-proto", "tcp", *where, *what]


def _haproxy(routes: Sequence[Route], dial_seconds: int, folder: Path) -> Sequence[Command]:
    lines = ["defaults", " mode tcp", f" timeout connect {dial_seconds}s"]
    for route in routes:
        lines += [f"listen l{route.listen}", f" bind 127.0.0.1:{route.listen}"]
        lines += [f" server u 127.0.0.1:{route.upstream_port}"]
    Path(folder, "haproxy.cfg").write_text("\n".join(lines) + "\n")
    return [Command(["haproxy", "-db", "-f", f"{folder}/haproxy.cfg"])]


def _nginx(*options: str) -> Commands:
    def commands(routes: Sequence[Route], dial_seconds: int, folder: Path) -> Sequence[Command]:
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        lines = [f"load_module {module};"] if Path(module).exists() else []
        lines += ["daemon off;", "master_process off;", f"pid {folder}/pid;", "error_log stderr;"]
        lines += [
            "events { worker_connections 4096; }",
            "stream {",
            f"proxy_connect_timeout {dial_seconds}s;",
            *options,
        ]
        for route in routes:
            lines += [f"server {{ listen 127.0.0.1:{route.listen}; proxy_pass 127.0.0.1:{route.upstream_port}; }}"]
        Path(folder, "nginx.conf").write_text("\n".join([*lines, "}"]) + "\n")
        return [Command(["nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr"])]

    return commands


def _naive(routes: Sequence[Route], _: int, __: Path) -> Sequence[Command]:
    return [Command([sys.executable, str(_NAIVE), *(f"{route.listen}:{route.upstream_port}" for route in routes)])]


def _asked(*arguments: str) -> Callable[[], str]:
    def version() -> str:
        if shutil.which(arguments[0]) is None:
            return ""
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        found = re.search(r"\d+\.\d[\w.+~:-]*", done.stdout + done.stderr)
        return found[0] if found else "of unknown version"

    return version


def _docker_proxy_version() -> str:
    """Return the version of the engine beside it, since it does not tell its own."""
    program = shutil.which("docker-proxy")
    if program is None:
        return ""
    return _asked(str(Path(program).with_name("dockerd")), "--version")() or "of unknown version"


AMBASSADORS = (
    Subject("ambassador", _ambassador(_OURS), _our_version("uvloop"), ours=True),
    Subject("ambassador, asyncio's loop", _ambassador(_WITHOUT_UVLOOP), _our_version("asyncio"), ours=True),
    # Shared keys need Python 3.13.
    Subject("two ambassadors, tunnel", _tunnel, _our_version("uvloop", since=(3, 13)), pair=True, ours=True),
)
PEERS = (
    Subject("socat -t 100000000", _each(_socat("-t", "100000000")), _asked("socat", "-V")),
    Subject("socat", _each(_socat()), _asked("socat", "-V")),
    Subject("HAProxy", _haproxy, _asked("haproxy", "-v")),
    Subject("nginx", _nginx(), _asked("nginx", "-v")),
    Subject("nginx, proxy_half_close", _nginx("proxy_half_close on;"), _asked("nginx", "-v")),
    Subject("docker-proxy", _each(_docker_proxy), _docker_proxy_version),
    Subject("asyncio streams", _naive, platform.python_version),
)
