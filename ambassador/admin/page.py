"""The page for people: put together from its parts, with a policy under which a browser runs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from ambassador.metrics import End

if TYPE_CHECKING:
    from collections.abc import Mapping

_PART: Final = re.compile(r'<link rel="stylesheet" href="(?P<style>.+?)">|<script src="(?P<script>.+?)"></script>')


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is sent."""

    body: bytes
    headers: Mapping[str, str]

    @classmethod
    def load(cls) -> Page:
        """Put style and scripts into the page, and name them in its policy by hash (CSP level 3, section 8.4)."""
        folder = resources.files("ambassador.admin").joinpath("web")
        hashes: dict[str, list[str]] = {"script": [], "style": []}

        def part(link: re.Match[str]) -> str:
            element = str(link.lastgroup)
            content = folder.joinpath(link[element]).read_text(encoding="utf-8")
            hashes[element].append(_hash(content))
            return f"<{element}>{content}</{element}>"

        text = _PART.sub(part, folder.joinpath("page.html").read_text(encoding="utf-8"))
        text = text.replace('id="ends">', f'id="ends">{_ends()}')
        policy = (
            f"default-src 'none'; connect-src 'self'; img-src data:; script-src {' '.join(hashes['script'])}; "
            f"style-src {' '.join(hashes['style'])}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
        }
        return cls(text.encode(), headers)


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _ends() -> str:
    """Write what each ending means and how much it weighs, as data that cannot end its element."""
    ends = {end: {"weight": end.weight, "meaning": end.meaning} for end in End}
    return json.dumps(ends).replace("<", r"\u003c")
