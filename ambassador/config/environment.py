"""From AMBASSADOR_* variables, and the files that AMBASSADOR_*_FILE name, to settings."""

from __future__ import annotations

import contextlib
import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ambassador.config import parsers
from ambassador.config.in_time import look_in_time
from ambassador.config.links import link_name
from ambassador.config.names import bare_name, docker_aliases
from ambassador.config.problems import MASK, Invalid, Several, left_in, path_shown, shown
from ambassador.config.settings import NAMES, PREFIX, Settings
from ambassador.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ambassador.config.files import Look

_FILE = "_FILE"
# What Docker and Kubernetes make of an alias `ambassador` (AMBASSADOR_PORT_6379_TCP, AMBASSADOR_SERVICE_HOST, ...).
_OF_AN_ALIAS = ("AMBASSADOR_PORT_", "AMBASSADOR_ENV_", "AMBASSADOR_SERVICE_")
_OF_AN_ALIAS_WHOLE = frozenset({"AMBASSADOR_PORT", "AMBASSADOR_NAME"})
# A variable with one of these in its name may hold a secret, even if it is not a setting: its value is not shown.
_SOUNDS_SECRET = ("KEY", "TOKEN", "SECRET", "PASS")
# Characters: difflib's time grows with the square of the length, and no setting's name is longer.
_LONGEST_NAME = 40
_KNOWN = NAMES | {f"{name}{_FILE}" for name in NAMES}


@dataclass(slots=True)
class Reading:
    """The settings as far as they could be read.

    Attributes:
        given: the settings that are set, by name, and the variable that sets each.
        failed: the settings that could not be read, in lower case; they have their defaults here.
        problems: what is wrong, in no order.
    """

    settings: Settings
    given: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def read_settings(environ: Mapping[str, str]) -> Reading:
    """Read every setting, and report AMBASSADOR_* variables that are not settings.

    An empty value counts as not set: Compose sets one for a variable that does not exist on the host.
    """
    reading = Reading(Settings())
    texts: dict[str, str] = {}
    files = _look_at_files(environ)
    for name in sorted(NAMES):
        for variable in (f"{PREFIX}{name}", f"{PREFIX}{name}{_FILE}"):
            value = environ.get(variable, "").strip()
            if not value:
                continue
            try:
                texts[name.lower()] = _text(name, variable, value, reading, files)
                reading.given[name] = variable
            except Invalid as invalid:
                reading.failed.add(name.lower())
                reading.problems.append(_problem(variable, value, invalid))
    _validate(reading, texts, environ)
    reading.problems += _unknown(environ)
    return reading


def _look_at_files(environ: Mapping[str, str]) -> dict[str, Look]:
    """Look at all files that X_FILE variables name, at once: those that do not answer cost the time of one."""
    named = {environ.get(f"{PREFIX}{name}{_FILE}", "").strip() for name in NAMES} - {""}
    return {found.path: found for found in look_in_time((path, False) for path in named if _is_path(path))}


def _is_path(text: str) -> bool:
    with contextlib.suppress(Invalid):
        return bool(parsers.path(text))
    return False


def _text(name: str, variable: str, value: str, reading: Reading, files: Mapping[str, Look]) -> str:
    """Return the text of a setting, from its variable or from the file that the variable names."""
    if name in reading.given or name.lower() in reading.failed:
        raise Invalid(f"{PREFIX}{name} is set as well", "unset one of them")
    return value if variable == f"{PREFIX}{name}" else _content(value, files)


def _content(path: str, files: Mapping[str, Look]) -> str:
    """Return what is in the file that an X_FILE variable names, without the white space around its text."""
    parsers.path(path)
    try:
        text = files[path].text().strip()
    except OSError as error:
        raise Invalid(f"cannot read the file: {error.strerror}", "name a text file with the setting in it") from None
    if not text:
        raise Invalid("the file is empty", "write the setting into it, or unset the variable")
    return text


def _validate(reading: Reading, texts: dict[str, str], environ: Mapping[str, str]) -> None:
    """Parse the texts into the settings of *reading*, and add what is wrong with them."""
    try:
        reading.settings = Settings.model_validate(texts)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            name = str(details["loc"][0])
            variable = reading.given[name.upper()]
            reading.failed.add(name)
            # Only the functions of parsers.py refuse a text; this is where pydantic keeps what they raised.
            invalid = left_in(texts[name]) or details["ctx"]["error"]
            each = invalid.each if isinstance(invalid, Several) else (invalid,)
            reading.problems += (_problem(variable, environ[variable].strip(), one) for one in each)
        reading.settings = Settings.model_validate(
            {name: text for name, text in texts.items() if name not in reading.failed}
        )


def _unknown(environ: Mapping[str, str]) -> list[Problem]:
    """Find the AMBASSADOR_* variables that are not settings, and the setting that each resembles most."""
    names = {variable: bare_name(variable) for variable in environ}
    aliases = {name.alias for name in map(link_name, names.values()) if name}.union(docker_aliases(environ))
    of_links = (*_OF_AN_ALIAS, *(f"{alias}_" for alias in aliases if alias.startswith(PREFIX)))
    problems = []
    for variable in sorted(environ):
        bare = names[variable]
        name = bare.removeprefix(PREFIX)
        hidden = name in _KNOWN and bare != variable
        known = name in _KNOWN or bare.startswith(of_links)
        if name == bare or bare in _OF_AN_ALIAS_WHOLE or (known and not hidden):
            continue
        near = name if hidden else _nearest(name[:_LONGEST_NAME].upper())
        invalid = Invalid("unknown setting", f"did you mean {PREFIX}{near}?")
        if hidden:
            invalid = Invalid("quotes, blanks or invisible characters in the name", f"write {bare}")
        problems.append(_problem(variable, environ[variable], invalid, near))
    return problems


def _nearest(name: str) -> str:
    """Return the known name that *name* resembles most: one that has all its words, if there is any."""
    words = set(name.split("_"))
    known = sorted(_KNOWN)
    fitting = [other for other in known if words.issubset(other.split("_"))]
    return difflib.get_close_matches(name, fitting or known, n=1, cutoff=0)[0]


def _problem(variable: str, value: str, invalid: Invalid, meant: str = "") -> Problem:
    """Make a problem that shows no secret, not even one that was written where its file's path belongs.

    *meant* is the name that the user may have had in mind.
    """
    if value and any(word in name for word in _SOUNDS_SECRET for name in (variable.upper(), meant)):
        text = path_shown(value) if variable.endswith(_FILE) else MASK
        return Problem(shown(variable), text, invalid.wrong, invalid.right)
    return invalid.of(shown(variable), value)
