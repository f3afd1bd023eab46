"""From environment variables to a checked configuration: pure, without sockets, event loop or logs."""
