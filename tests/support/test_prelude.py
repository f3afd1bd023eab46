"""A prelude that no longer fits what it patches fails its test, loudly."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.net import free_port
from tests.support.prelude import altered, guarded, patch, replace

if TYPE_CHECKING:
    from tests.conftest import Launch


class Plain:
    """What is patched here."""

    name = "plain"


class Heir(Plain):
    """What inherits it."""


def test_what_there_is_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replaced name has its new value, and whoever replaced it gets the old one."""
    monkeypatch.setattr(Plain, "name", "plain")  # back to it afterwards
    assert replace(Plain, "name", "patched") == "plain"
    assert Plain.name == "patched"


@pytest.mark.parametrize(("owner", "name"), [(socket, "gone"), (Plain, "gone"), (Heir, "name")])
def test_what_there_is_not_is_never_created(owner: object, name: str) -> None:
    """A name that its owner has not, or has from a base class, is an error, and is not there afterwards either."""
    with pytest.raises(AttributeError, match=f"has no {name} of its own"):
        replace(owner, name, None)
    assert name not in vars(owner)


def test_an_altered_copy_leaves_the_module_as_it_is() -> None:
    """Of a module and its altered copy, the copy alone has the new value, and both have all else."""
    copy = altered(socket, AF_INET=None)
    assert (copy.AF_INET, copy.AF_INET6) == (None, socket.AF_INET6)
    assert socket.AF_INET is not None
    with pytest.raises(AttributeError, match="socket has no gone"):
        altered(socket, gone=None)


@pytest.mark.parametrize("text", ["import socket\nsocket.gone = 1\n", "import socket\nsocket.gone += 1\n"])
def test_no_prelude_assigns_to_an_attribute(text: str) -> None:
    """A prelude that would create what it means to patch is refused before it runs."""
    with pytest.raises(ValueError, match=r"not by assigning to socket\.gone"):
        guarded(text)


@pytest.mark.parametrize("wait", [True, False])
def test_a_prelude_that_fails_fails_its_test(ambassador: Launch, *, wait: bool) -> None:
    """A test sees the traceback of its broken prelude where it waits for the start and where it waits for the end."""
    prelude = patch("ambassador.server.listener", _RENAMED=1)
    with pytest.raises(AssertionError, match="listener has no _RENAMED of its own"):
        ambassador(free_port(), prelude=prelude, wait=wait).exit_code()
