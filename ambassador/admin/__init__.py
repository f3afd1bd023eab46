"""The admin address: what is asked over HTTP about a running ambassador, and by whom."""
