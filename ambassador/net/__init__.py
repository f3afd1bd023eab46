"""Sockets, addresses and the event loop. Knows nothing of ambassadors: no routes, no settings, no logs."""
