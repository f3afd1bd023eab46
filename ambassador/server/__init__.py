"""One serving process: a client's way from the listening socket to its line in the access log."""
