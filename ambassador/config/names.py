"""The names of variables: what hides in one, and which are what Docker makes of a link."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ambassador.config.filter import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLAIN = re.compile("[!#-&(-~]*")
# A byte order mark of UTF-8, where the locale's bytes are not UTF-8.
_MARK_AS_BYTES = "\udcef\udcbb\udcbf"
_SURROGATES = ("\ud800", "\udfff")
# Docker's own value of <ALIAS>_NAME: /CONTAINER/ALIAS.
_LINKED = re.compile("/[^/]+/([^/]+)")


def bare_name(variable: str) -> str:
    """Return a variable's name without what an editor or a reader of env files left in it, and nobody sees.

    That is a byte order mark, blanks, control characters, and quotes around the whole line.
    """
    if _PLAIN.fullmatch(variable):
        return variable
    return "".join(filter(_belongs, variable.replace(_MARK_AS_BYTES, "")))


def _belongs(character: str) -> bool:
    if _SURROGATES[0] <= character <= _SURROGATES[1]:
        return True  # a byte that is no text: to be shown, not to be passed over
    return character.isprintable() and not character.isspace() and character not in "\"'"


def docker_aliases(environ: Mapping[str, str]) -> Iterable[str]:
    """Yield the aliases for which Docker set <ALIAS>_NAME, as it does for every link, also where there is no port.

    Its value is /CONTAINER/ALIAS; a variable that is named so by chance has another.
    """
    for variable, value in environ.items():
        linked = _LINKED.fullmatch(value) if variable.endswith("_NAME") else None
        if linked and normalised(linked[1]) == variable.removesuffix("_NAME"):
            yield variable.removesuffix("_NAME")
