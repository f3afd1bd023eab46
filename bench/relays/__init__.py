"""The relays that are measured: how each is run, and what it needs."""
