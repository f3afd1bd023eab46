"""Stand in front of rich, which comes with the tools of development only: users do not have it.

structlog imports it where it is there, which costs a start of the ambassador as much as all the rest of it.
"""

raise ImportError("rich is not there for users")
