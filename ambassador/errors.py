"""What can go wrong, sorted by whose fault it is: the type of an error says who has to act."""

from __future__ import annotations

from dataclasses import dataclass


class AmbassadorError(Exception):
    """Every error that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the configuration: the variable, its value (secrets masked), what is wrong, what is right."""

    variable: str
    value: str
    wrong: str
    right: str

    def __str__(self) -> str:
        """Write the problem as the one line that a user sees."""
        shown = f"{self.variable}={self.value}" if self.value else self.variable
        return f"{shown}: {self.wrong}; {self.right}" if self.right else f"{shown}: {self.wrong}"


class ConfigurationError(AmbassadorError):
    """The user has to change the configuration: exit code 2. Carries every problem found, not the first one."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class StartError(AmbassadorError):
    """The machine does not let us serve, such as a port in use: exit code 1."""


def described(error: BaseException) -> str:
    """Return what a log says of an error that nobody expected: its type, and what it says itself."""
    return f"{type(error).__name__}: {error}"
