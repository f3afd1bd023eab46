"""What the tests of the configuration share: reading one, and reading what is wrong with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ambassador.config.configuration import Configuration, read
from ambassador.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def configure() -> Callable[..., Configuration]:
    """Give what reads a configuration, on a Python that knows keys."""

    def configure(environ: dict[str, str], **keywords: Any) -> Configuration:
        return read(environ, **({"python": (3, 13)} | keywords))

    return configure


@pytest.fixture
def problems(configure: Callable[..., Configuration]) -> Callable[..., list[str]]:
    """Give what reads a wrong configuration and returns the lines that a user sees."""

    def problems(environ: dict[str, str], **keywords: Any) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            configure(environ, **keywords)
        return str(caught.value).splitlines()

    return problems
