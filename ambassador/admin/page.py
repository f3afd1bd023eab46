"""The page for people: one static file, and a policy under which a browser runs nothing that is not in it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is sent."""

    body: bytes
    headers: Mapping[str, str]

    @classmethod
    def load(cls) -> Page:
        """Read the page, and name its script and its style in its policy by their hashes (CSP level 3, section 8.4)."""
        text = resources.files("ambassador.admin").joinpath("page.html").read_text(encoding="utf-8")
        policy = (
            f"default-src 'none'; connect-src 'self'; img-src data:; script-src {_hashes(text, 'script')}; "
            f"style-src {_hashes(text, 'style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
        }
        return cls(text.encode(), headers)


def _hashes(text: str, element: str) -> str:
    contents = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
