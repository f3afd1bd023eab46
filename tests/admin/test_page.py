"""The page in a real browser: what it shows, that it keeps up, and what a user does with it."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from ambassador.admin import server
from tests.admin.browser import PROGRAM, Browser
from tests.admin.contrast import contrast
from tests.support.admin import TOKEN, address_of_this_machine
from tests.support.deadline import PATIENCE
from tests.support.net import LOCAL, exactly, final_error, free_port
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ambassador.admin.answers import ConnectionsReport
    from ambassador.server.report import ConnectionReport, EndpointReport, HistogramReport, Report, RouteReport
    from tests.conftest import Serve
    from tests.support.watch import Watch

MANY = 10_000
in_browser = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed here")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Give a browser whose page has complained of nothing when the test ends."""
    with Browser() as browser:
        yield browser
        assert browser.complaints == []


class Crowd:
    """An overview of ten thousand connections that nobody made."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    async def report(self) -> Report:
        """Return a report of one route."""
        histogram: HistogramReport = {"bounds": [0.1], "counts": [MANY, 0], "sum": 1.0}
        endpoint: EndpointReport = {
            "name": "10.0.0.7:6379", "up": True, "for": 60.0, "dialled": 1.0, "error": None, "failures": 0,
            "early_resets": 3, "resolved": ["10.0.0.7"],
        }  # fmt: skip
        route: RouteReport = {
            "name": "redis:6379", "listen": ["*:6379"], "source": "test", "active": MANY,
            "ends": {"closed": 5, "failed": 1}, "bytes_up": 10**9, "bytes_down": 10**10, "accept_paused": 0,
            "connect": histogram, "connection": histogram, "endpoints": [endpoint],
        }  # fmt: skip
        return {
            "version": "1", "state": "serving", "workers": 1, "uptime": 90000.0, "limit": 20_000, "live": MANY,
            "dropped_lines": 0, "pipes_lent": 0, "turns": route["connect"], "longest_turn": 0.0, "routes": [route],
        }  # fmt: skip

    async def connections(self, limit: int, route: str | None = None) -> ConnectionsReport:
        """Return the connections, oldest first, all of which are of one route."""
        found: list[ConnectionReport] = [
            {
                "id": number, "route": "redis:6379", "client": f"10.1.{number // 250}.{number % 250}:40000",
                "upstream": "10.0.0.7:6379", "seconds": float(MANY - number),
                "bytes_up": number, "bytes_down": 2 * number, "state": "relaying",
            }
            for number in range(1, min(MANY, limit) + 1)
        ]  # fmt: skip
        return {"total": MANY if route is None else 0, "connections": found}

    async def kill(self, number: int) -> bool:
        """Remember which connection was to be reset."""
        self.killed.append(number)
        return True

    def drain(self, *, by: str) -> None:
        """Go on: this is no process that could end."""

    def not_ready(self) -> str | None:
        """Be ready."""
        return None


@pytest.fixture
def crowd() -> Iterator[tuple[Crowd, str]]:
    """Serve the page of a crowd, in a thread; give the crowd and the page's address."""
    overview, bound, ended = Crowd(), Future[str](), threading.Event()

    async def serve() -> None:
        sock = socket.create_server((LOCAL, 0))
        runner = await server.start(overview, sock, token=None, limit=8)
        bound.set_result(f"http://{LOCAL}:{sock.getsockname()[1]}/")
        await asyncio.to_thread(ended.wait)
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield overview, bound.result(PATIENCE)
    ended.set()
    thread.join(PATIENCE)


def text(browser: Browser, selector: str) -> str:
    """Return the text of the first element that *selector* finds."""
    return str(browser.evaluate(f"document.querySelector({selector!r}).textContent"))


def rows(browser: Browser) -> list[str]:
    """Return the numbers of the connections that the table holds as rows."""
    return list(
        browser.evaluate(
            "[...document.querySelectorAll('#live tbody tr:not(.space)')].map(r => r.cells[0].textContent)"
        )
    )


@in_browser
def test_the_page_shows_one_connection_and_keeps_up_with_it(browser: Browser, watch: Watch, serve: Serve) -> None:
    """The page shows a route, its endpoint and a connection, and shows by itself what has changed since."""
    upstream = serve(echo)
    admin = watch(upstream.port)
    with admin.ambassador.connect() as client:
        client.sendall(b"x" * 4321)
        exactly(client, 4321)
        browser.open(f"http://{LOCAL}:{admin.port}/")

        browser.until("document.querySelectorAll('#live tbody tr:not(.space)').length === 1")
        assert "4.32 kB" in text(browser, "#live tbody tr:not(.space)")
        assert f"{LOCAL}:{client.getsockname()[1]}" in text(browser, "#live tbody tr:not(.space)")
        assert f"{LOCAL}:{upstream.port} up for" in text(browser, "#routes tbody")
        assert text(browser, "#state") == "serving"
        assert browser.evaluate("document.querySelector('#routes .dot').className") == "dot up"
    browser.until("document.querySelectorAll('#live tbody tr:not(.space)').length === 0")
    browser.until("document.querySelector('#endings tbody').textContent.startsWith('closed')")
    assert browser.evaluate("document.title") == "0 live · Ambassador"


@in_browser
def test_a_dead_upstream_is_one_look_away(browser: Browser, watch: Watch) -> None:
    """A route whose upstream refuses is marked as down, with the reason, beside the ending that it causes."""
    admin = watch(free_port(), settings={"CONNECT_TIMEOUT": "100ms"})
    with admin.ambassador.connect() as client:
        assert final_error(client) is ConnectionResetError
    browser.open(f"http://{LOCAL}:{admin.port}/", dark=True)

    browser.until("document.querySelector('#routes .dot')?.className === 'dot down'")
    assert "DOWN for" in text(browser, "#routes tbody")
    assert "Connection refused" in text(browser, "#routes tbody")
    assert text(browser, "#endings tbody").startswith("connect_refused1")


@in_browser
def test_a_connection_is_reset_by_keyboard(browser: Browser, watch: Watch, serve: Serve) -> None:
    """The filter is a key away, the button for a reset can be focused, and nothing is reset before it is confirmed."""
    admin = watch(serve(hold).port)
    clients = [admin.ambassador.connect() for _ in range(400)]
    browser.open(f"http://{LOCAL}:{admin.port}/")
    browser.until("document.getElementById('live-note').textContent === '400'")
    number = sorted(entry["id"] for entry in admin.json("/connections")["connections"])[200]
    port = next(e["client"] for e in admin.json("/connections")["connections"] if e["id"] == number).rpartition(":")[2]

    browser.press("/")
    for key in port:
        browser.press(key)
    browser.until("document.getElementById('live-note').textContent === '1 of 400'")
    assert rows(browser) == [str(number)]
    browser.evaluate("document.querySelector('#live tbody button').focus()")
    browser.press("Enter")
    browser.until("document.getElementById('ask').open")
    assert admin.json("/connections")["total"] == 400
    browser.press("Enter")

    (victim,) = (client for client in clients if client.getsockname()[1] == int(port))
    assert final_error(victim) is ConnectionResetError
    browser.until("document.getElementById('live-note').textContent === '0 of 399'")
    browser.press("Escape")
    browser.until("document.getElementById('live-note').textContent === '399'")
    for client in clients:
        client.close()


@in_browser
def test_a_token_is_typed_and_entered(browser: Browser, watch: Watch, serve: Serve) -> None:
    """From elsewhere the page asks for the token, which Enter sends; Cancel and Escape leave everything as it is."""
    admin = watch(serve(hold).port, settings={"ADMIN_TOKEN": TOKEN}, host="0.0.0.0")
    with admin.ambassador.connect() as client:
        browser.open(f"http://{address_of_this_machine()}:{admin.port}/")
        for leave in ("document.getElementById('ask-no').click()", None):
            browser.until("document.querySelectorAll('#live tbody tr:not(.space)').length === 1")
            browser.evaluate("document.querySelector('#live tbody tr:not(.space) button').click()")
            browser.until("document.getElementById('ask').open")
            browser.press("Enter")
            browser.until("document.activeElement === document.getElementById('token')")
            browser.evaluate("left = 0; document.getElementById('ask').onclose = () => { left++ }")
            browser.evaluate(leave) if leave else browser.press("Escape")
            browser.until("left")
        assert admin.json("/connections")["total"] == 1

        browser.evaluate("document.querySelector('#live tbody tr:not(.space) button').click()")
        browser.until("document.getElementById('ask').open")
        browser.press("Enter")
        browser.until("document.activeElement === document.getElementById('token')")
        for key in TOKEN:
            browser.press(key)
        browser.press("Enter")

        assert final_error(client) is ConnectionResetError
        browser.until("document.querySelectorAll('#live tbody tr:not(.space)').length === 0")
    browser.complaints = [entry for entry in browser.complaints if "401" not in entry]  # what asks for the token


@pytest.mark.slow
@in_browser
def test_ten_thousand_connections_are_no_trouble(browser: Browser, crowd: tuple[Crowd, str]) -> None:
    """With ten thousand connections the page holds a screenful of rows, sorts, filters and scrolls through all."""
    overview, address = crowd
    browser.open(address)
    browser.until("document.getElementById('live-note').textContent === '10,000'")
    assert rows(browser)[0] == "1"
    assert 15 < len(rows(browser)) < 100

    browser.evaluate("document.querySelectorAll('#live th button')[5].click()")  # by bytes up, most first
    assert rows(browser)[0] == "10000"
    browser.evaluate("document.getElementById('live').scrollTop = 1e9")
    browser.until("[...document.querySelectorAll('#live tbody tr:not(.space)')].at(-1).cells[0].textContent === '1'")
    assert len(rows(browser)) < 100
    browser.evaluate(
        "const f = document.getElementById('filter'); f.value = '10.1.7.'; f.dispatchEvent(new Event('input'))"
    )
    assert text(browser, "#live-note") == "250 of 10,000"
    assert not overview.killed


@in_browser
def test_an_ambassador_that_is_gone_is_noticed(browser: Browser, watch: Watch) -> None:
    """When nobody answers any more the page says so, and since when, instead of showing what was."""
    admin = watch(free_port())
    browser.open(f"http://{LOCAL}:{admin.port}/")
    browser.until("heard !== null")  # the page's own note of a whole answer
    assert admin.ambassador.stop() == 0

    browser.until("document.getElementById('state').textContent === 'no answer'")
    assert "No answer since" in text(browser, "#message")
    browser.complaints = [entry for entry in browser.complaints if "ERR_CONNECTION" not in entry]


@in_browser
@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_in_dark_and_light(browser: Browser, crowd: tuple[Crowd, str], *, dark: bool) -> None:
    """Every colour of text stands out from its background by WCAG's 4.5 to 1, and nothing overflows."""
    browser.open(crowd[1], dark=dark)
    browser.until("document.getElementById('live-note').textContent === '10,000'")
    colours = browser.evaluate(
        "(() => { const s = getComputedStyle(document.documentElement);"
        " return Object.fromEntries(['card', 'text', 'soft', 'good', 'warn', 'bad']"
        ".map(n => [n, s.getPropertyValue('--' + n).trim()])) })()"
    )
    assert (contrast(colours["card"], "#fff") > 4.5) is dark
    for name, colour in colours.items():
        assert name == "card" or contrast(colour, colours["card"]) >= 4.5, (name, colour)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_ten_thousand_connections_never_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """While ten thousand connections are described and written, others have their turns in between."""
    from types import SimpleNamespace

    from ambassador.admin.overview import LocalOverview

    entry = SimpleNamespace(
        id=0,
        relay=None,
        state="dialling",
        route=SimpleNamespace(name="r:1"),
        client_address="c",
        upstream="",
        started=0.0,
    )
    live = {number: SimpleNamespace(**{**vars(entry), "id": number}) for number in range(MANY)}
    turns = 0
    done = False

    async def others() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    overview = LocalOverview(SimpleNamespace(connections=SimpleNamespace(live=live)))
    found = await overview.connections(MANY)
    done = True
    await task
    assert len(found["connections"]) == found["total"] == MANY
    assert turns >= MANY // 200
