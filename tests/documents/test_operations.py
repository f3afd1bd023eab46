"""docs/operations.md tells of everything that an ambassador says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ambassador.metrics import End
from tests.support.process import ROOT
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.watch import Watch

BOOK = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
_EVENT = re.compile(r'(?:log\.\w+\(\s*|access_log\(\s*|_say\()"([a-z]+\.[a-z_]+)"')
_LIFE = re.compile(r'LifeEvents\("(.+)"\)')


def test_every_ending_is_explained() -> None:
    """Each ending has a row of its own, with its meaning and what to do."""
    for end in End:
        assert re.search(rf"^\| `{end}` \| {re.escape(end.meaning)} \| .+ \|$", BOOK, re.MULTILINE), end


def test_every_event_is_explained_and_none_that_does_not_exist() -> None:
    """Each event that the source logs is in the book, and each in the book's table is logged."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ambassador").rglob("*.py"))
    logged = {*_EVENT.findall(source), *'", "'.join(_LIFE.findall(source)).split('", "')}
    assert len(logged) > 20
    table = BOOK[BOOK.index("## Events") : BOOK.index("## Metrics")]
    told = {
        name
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for name in re.findall(r"`([a-z]+\.[a-z_]+)`", row)
    }
    assert logged - told == set()
    assert told - logged - {"log.dropped"} == set()


def test_every_metric_is_explained(watch: Watch, serve: Serve) -> None:
    """Each metric has a row of its own."""
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in watch(serve(echo).port).metrics()}
    for family in families:
        if not family.startswith("process_"):
            assert re.search(rf"^\| `{family}(\{{[\w,]+\}})?` \|", BOOK, re.MULTILINE), family
