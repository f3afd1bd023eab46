"""Several processes that share the listeners: one parent that serves nobody itself, and its workers.

The parent binds, forks, passes signals on, replaces the dead and adds up; the workers accept from the parent's sockets.
Forked rather than started anew: a worker is there in milliseconds, has exactly the configuration that was checked, and
shares the memory of all that was imported.
"""
