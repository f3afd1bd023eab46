"""The page as it is delivered: one answer of several parts, and what it knows of endings."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from ambassador.admin.page import Page
from ambassador.metrics import End
from tests.admin.browser import PROGRAM, Browser
from tests.support.net import LOCAL, free_port

if TYPE_CHECKING:
    from tests.support.watch import Watch


class Elements(HTMLParser):
    """Each element's name and attributes, with the text that follows its tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        self.found.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        """Add to the text of the last element."""
        if self.found:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)


def test_the_page_asks_nobody_else() -> None:
    """The page loads nothing, names no address but a namespace's, and its policy allows its own parts only."""
    page = Page.load()
    body = page.body.decode()
    elements = Elements(body).found
    addresses = set(re.findall(r"https?://[^\s\"']+", body))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of a namespace, which nobody fetches
    assert not [element for element in elements if "src" in element[1] or "style" in element[1]]
    links = [attributes["href"] or "" for tag, attributes, _ in elements if tag == "link"]
    assert all(link.startswith("data:") for link in links)
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    parts = [tag for tag, attributes, _ in elements if tag in {"script", "style"} and not attributes]
    assert policy.count("sha256-") == len(parts)
    assert "innerHTML" not in body


def test_the_page_knows_every_ending() -> None:
    """What each ending means and how much it weighs is in the page as it is delivered."""
    elements = Elements(Page.load().body.decode()).found
    (known,) = [json.loads(text) for _, attributes, text in elements if attributes.get("id") == "ends"]
    assert known == {end.value: {"weight": end.weight.value, "meaning": end.meaning} for end in End}


@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed here")
def test_an_ending_is_shown_by_its_meaning_and_its_weight(watch: Watch) -> None:
    """An ending has the colour of its weight, names in its meaning are code, and an unknown one is trouble."""
    with Browser() as browser:
        browser.open(f"http://{LOCAL}:{watch(free_port()).port}/")
        browser.until("heard !== null")  # the page's own note of a whole answer
        shown = browser.evaluate(
            "showEndings({closed: 9, not_allowed: 8, failed: 7, of_tomorrow: 6, constructor: 5}, {}, 60);"
            "[...endings.lines].map(({node}) => [node.cells[0].className.trim(), node.cells[4].innerHTML])"
        )
        assert browser.complaints == []
    assert shown == [
        ["m", End.CLOSED.meaning],
        ["m warn", "the client is not within <code>AMBASSADOR_ALLOW</code>"],
        ["m bad", End.FAILED.meaning],
        ["m bad", ""],
        ["m bad", ""],
    ]
