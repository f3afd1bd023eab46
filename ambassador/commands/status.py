"""`ambassador status`: the running ambassador's routes and live connections as a table, once or repeatedly."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, NoReturn, cast

import click

from ambassador.commands import healthcheck
from ambassador.metrics import troubled
from ambassador.net.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ambassador.admin.answers import ConnectionsReport, StatusReport
    from ambassador.server.report import EndpointReport, RouteReport

# Between two looks of --watch, in seconds: what is shown are rates and ages, which nobody reads faster.
PAUSE = 2.0
# Wider lines would only move the last column away from the first.
_WIDEST = 120
# The usual terminal: everything that matters fits into it.
_NARROWEST = 80
# Connections that are listed at most; nobody reads more.
_MOST = 10_000
# Bytes of an answer: so many connections, or thousands of routes. Reading more would only cost memory.
_LARGEST = 8 << 20
# Of a connection's number. Ours are shorter, those of whoever answers instead may be endless.
_MOST_DIGITS = 20
# Characters of a message, and of a line before it is fitted to the terminal.
_LONGEST = 500
# Go home and overwrite: clearing the screen first would make it flicker (ECMA-48: CUP, EL, ED).
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
_STEPS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def run(*, watch: bool) -> int:
    """Print the table; return 0, or 1 if no ambassador answers."""
    try:
        admin = healthcheck.admin_address()
    except OSError as error:
        return _fail(f"cannot read AMBASSADOR_ADMIN_FILE: {error.strerror}")
    if admin.lower() == "off":
        return _fail("AMBASSADOR_ADMIN=off: there is nothing to ask")
    try:
        while True:
            columns, rows = shutil.get_terminal_size()
            try:
                table = _look(admin, width=min(columns, _WIDEST), rows=rows - 1 if watch else None)
            except (OSError, ValueError) as error:
                return _fail(f"no answer from {admin}: {error}")
            except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError):
                return _fail(f"no ambassador at {admin}: unexpected answer")
            if watch and sys.stdout.isatty():
                click.echo(_HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in table) + _CLEAR_REST, nl=False)
            else:
                click.echo("\n".join(table))
            if not watch:
                return 0
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        return 0


def _fail(text: str) -> int:
    click.echo(printable(text, _LONGEST), err=True)
    return 1


def _look(admin: str, *, width: int, rows: int | None) -> list[str]:
    """Ask, and lay out at most *rows* lines of at most *width* columns."""
    lines = lay_out(cast("StatusReport", _ask(admin, "/status")), rows=rows)
    limit = _MOST if rows is None else max(0, rows - len(lines) - 3)
    lines.extend(lay_out_connections(cast("ConnectionsReport", _ask(admin, f"/connections?limit={limit}"))))
    return [_clip(printable(line, _LONGEST), width) for line in lines[:rows]]


def _ask(admin: str, path: str) -> object:
    code, body = healthcheck.ask(admin, path, largest=_LARGEST)
    if code != 200:
        raise ValueError(f"expected status 200 for {path}, received {code} {healthcheck.first_line(body)}")
    try:
        answer: object = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValueError(f"expected JSON for {path}, received something else") from None
    return answer


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON (RFC 8259, section 6)")


def lay_out(status: StatusReport, *, rows: int | None = None) -> list[str]:
    """Return the lines on the whole and on each route, of the routes only those for which *rows* have room."""
    rates = status["rates"]
    up, down = (f"{_size(rate[-1] if rate else 0)}/s" for rate in (rates["bytes_up"], rates["bytes_down"]))
    workers = f", {status['workers']} workers" if status["workers"] > 1 else ""
    limit = "" if status["limit"] is None else f" of {status['limit']}"
    lines = [
        f"ambassador {status['version']}  {status['state']} for {_age(status['uptime'])}{workers}",
        f"{status['live']} live{limit}, up {up}, down {down}",
        "",
        f"{'ROUTE':<24}{'LIVE':>7}{'ENDED':>10}{'IN TROUBLE':>12}{'UP':>11}{'DOWN':>11}",
    ]
    routes = [(route, [*_route(route)]) for route in status["routes"]]
    if rows is None or len(lines) + sum(len(block) for _, block in routes) <= rows:
        return [*lines, *(line for _, block in routes for line in block)]
    routes.sort(key=lambda route: all(endpoint["up"] is not False for endpoint in route[0]["endpoints"]))
    shown = 0
    for _, block in routes:  # pragma: no branch - not all of them fit
        if len(lines) + len(block) >= rows:
            break
        lines += block
        shown += 1
    return [*lines, f"... and {len(routes) - shown} more routes"]


def _route(route: RouteReport) -> Iterator[str]:
    ended = sum(route["ends"].values())
    trouble = troubled(route["ends"])
    yield (
        f"{_squeeze(route['name'], 23):<24}{route['active']:>7}{ended:>10}{trouble:>12}"
        f"{_size(route['bytes_up']):>11}{_size(route['bytes_down']):>11}"
    )
    for endpoint in route["endpoints"]:
        yield from _endpoint(endpoint)


def _endpoint(endpoint: EndpointReport) -> Iterator[str]:
    """Yield the state first, which is never cut off, and the reason on a line of its own."""
    up, age, error = endpoint["up"], _age(endpoint["for"]), endpoint["error"]
    state = "not dialled yet" if up is None else f"up for {age}" if up else f"DOWN for {age}"
    if endpoint["early_resets"]:
        state += f", {endpoint['early_resets']} early resets"
    yield f"  {state}  {_squeeze(endpoint['name'], _NARROWEST - 4 - len(state))}"
    if error is not None:
        yield f"    {error}"


def lay_out_connections(found: ConnectionsReport) -> Iterator[str]:
    """Yield the lines on live connections, oldest first."""
    shown = found["connections"]
    if not found["total"]:
        return
    # Numbers grow with time and with each worker that died, at the cost of the address's width.
    digits = min(_MOST_DIGITS, max([6, *(len(str(entry["id"])) for entry in shown)]))
    width = max(10, 28 - digits)
    yield ""
    yield f"{'ID':>{digits}} {'CLIENT':<{width}}{'ROUTE':<14}{'AGE':>8}{'UP':>8}{'DOWN':>8} STATE"
    for entry in shown:
        yield (
            f"{entry['id']:>{digits}} {_squeeze(entry['client'], width - 1):<{width}}{_squeeze(entry['route'], 13):<14}"
            f"{_age(entry['seconds']):>8}{_size(entry['bytes_up']):>8}{_size(entry['bytes_down']):>8} {entry['state']}"
        )
    if len(shown) < found["total"]:
        yield f"{'...':>6} and {found['total'] - len(shown)} more"


def _clip(text: str, width: int) -> str:
    """Shorten a text that is too long, and mark it by its last character."""
    return text if len(text) <= width else f"{text[: width - 1]}~"


def _squeeze(text: str, width: int) -> str:
    """Shorten an address or a route's name in the middle if it is too long: the port tells it from others."""
    if len(text) <= width:
        return text
    head, _, port = text.rpartition(":")
    return f"{head[: max(0, width - len(port) - 2)]}~:{port}"


def _size(count: float) -> str:
    """Write a number of bytes in at most eight characters."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5:
            return f"{count:.3g} {unit}" if count < 99.95 else f"{count:.0f} {unit}"
    return f"{count / 1000:.0f} PB"


def _age(seconds: float) -> str:
    """Write a duration by its two largest units."""
    for size, unit, rest_size, rest_unit in _STEPS:
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole}{unit}{rest // rest_size:02d}{rest_unit}"
    return f"{seconds:.1f}s"
