"""The kinds of work that relays are measured by."""
