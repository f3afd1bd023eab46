"""AMBASSADOR_LINKS."""

from __future__ import annotations

import pytest

from ambassador.config.filter import LinkFilter, link_filter
from ambassador.config.problems import Invalid


def served(text: str, *aliases: str) -> list[str]:
    """Return those of *aliases* that a filter lets through."""
    wanted = link_filter(text)
    return [alias for alias in aliases if wanted.why_not(alias) is None]


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("redis", ["REDIS"]),
        ("REDIS", ["REDIS"]),
        ("my-app", ["MY_APP"]),
        ("my_app", ["MY_APP"]),
        ("redis, my-app", ["REDIS", "MY_APP"]),
        ("*", ["REDIS", "MY_APP", "KUBERNETES_DASHBOARD"]),
        ("*,kubernetes", ["REDIS", "MY_APP", "KUBERNETES", "KUBERNETES_DASHBOARD"]),
        ("Kubernetes", ["KUBERNETES"]),
        ("kubernetes*", ["KUBERNETES_DASHBOARD"]),
        ("!redis", ["MY_APP", "KUBERNETES_DASHBOARD"]),
        ("*,!my-*", ["REDIS", "KUBERNETES_DASHBOARD"]),
        ("!*,redis", []),
        ("off", []),
        ("OFF", []),
        ("*s", ["REDIS"]),
        ("r*d*s", ["REDIS"]),
        ("nothing", []),
    ],
)
def test_which_aliases_are_served(text: str, aliases: list[str]) -> None:
    """Names include, `!` excludes and wins, globs match, and KUBERNETES is served only when named in full."""
    assert served(text, "REDIS", "MY_APP", "KUBERNETES", "KUBERNETES_DASHBOARD") == aliases


def test_all_but_kubernetes_without_a_filter() -> None:
    """Without the setting every alias but Kubernetes' own is served, in any case of letters."""
    assert LinkFilter().why_not("REDIS") is None
    assert LinkFilter().why_not("KUBERNETES_DASHBOARD") is None
    assert "AMBASSADOR_LINKS names kubernetes" in str(LinkFilter().why_not("KUBERNETES"))
    assert LinkFilter().why_not("kubernetes") is not None


def test_dot_is_a_dot() -> None:
    """Docker keeps dots in an alias, and a dot in a pattern matches nothing else."""
    assert served("a.b", "A.B", "AXB") == ["A.B"]


@pytest.mark.parametrize("text", ["redis,", ",", "!", "redis,!", "a b", "a;b", "[ab]", "a?", "größe", "!!a"])
def test_pattern_that_can_match_nothing_is_refused(text: str) -> None:
    """What cannot be meant is an error, never a filter that lets everything or nothing through."""
    with pytest.raises(Invalid, match="redis,web_"):
        link_filter(text)


def test_off_stands_alone() -> None:
    """`off` among names is refused, for it may be meant either way."""
    with pytest.raises(Invalid, match="write off alone"):
        link_filter("redis,off")


def test_reason_says_what_to_change() -> None:
    """A link that is not served says whether it was excluded or not named."""
    assert link_filter("!redis").why_not("REDIS") == "AMBASSADOR_LINKS excludes it"
    assert link_filter("web").why_not("REDIS") == "AMBASSADOR_LINKS does not include it"
    assert link_filter("off").why_not("REDIS") == "AMBASSADOR_LINKS is off"


def test_absent_names() -> None:
    """A name for which there is no link is told; a glob or an exclusion needs none."""
    assert link_filter("redis,web-1,*x,!y").absent(["REDIS"]) == ["web_1"]
