"""Preludes: Python that a test has run in an ambassador's process before it starts, to put a fault into it.

Whatever a prelude patches it patches by `replace`, which refuses a name that is not there. An assignment would create
the attribute instead: after a rename of what it meant, the test would pass and test nothing.
"""

from __future__ import annotations

import ast
import types
from typing import Any

# The exit code of a process whose prelude failed. None of the contract's, none of Python's, no signal's.
FAILED = 99
_GUARDED = """
try:
    exec(compile({text!r}, "<prelude>", "exec"))
except BaseException:
    import os, traceback
    traceback.print_exc()
    os._exit({failed})
"""


def replace(owner: Any, name: str, value: object) -> Any:
    """Put *value* in the place of what *owner*, a module or a class, has as *name*; return what that was.

    Raises:
        AttributeError: *owner* has nothing of that name, or only inherits it.
    """
    if name not in vars(owner):
        raise AttributeError(f"{owner.__name__} has no {name} of its own to replace")
    replaced = vars(owner)[name]
    setattr(owner, name, value)
    return replaced


def altered(module: types.ModuleType, **values: object) -> types.ModuleType:
    """Return a copy of *module* in which these names have other values, to replace it in one place only.

    Raises:
        AttributeError: *module* has nothing of such a name.
    """
    copy = types.ModuleType(module.__name__)
    vars(copy).update(vars(module))
    for name, value in values.items():
        replace(copy, name, value)
    return copy


def patch(module: str, **values: object) -> str:
    """Return a prelude that replaces these names of *module* by constants."""
    lines = ["import importlib", "from tests.support.prelude import replace"]
    lines += [f"replace(importlib.import_module({module!r}), {name!r}, {value!r})" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def guarded(text: str) -> str:
    """Return Python that runs the prelude *text*; if that fails, the process tells the traceback and ends by FAILED.

    Raises:
        ValueError: the prelude assigns to an attribute.
    """
    attributes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)]
    if assigned := [ast.unparse(node) for node in attributes if isinstance(node.ctx, ast.Store)]:
        raise ValueError(f"a prelude patches by replace(), not by assigning to {assigned[0]}")
    return _GUARDED.format(text=text, failed=FAILED)
