"""Ambassador: a small TCP proxy that joins containers on different hosts, configured by Docker links."""

__version__ = "0.1.0"
