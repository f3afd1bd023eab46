"""One client that sends 64 bytes, waits for them to come back, and so on: `pingpong PORT SECONDS [PAUSE]`."""

from __future__ import annotations

import json
import sys
import time

from bench.origin import ECHO, ENDLESS, HEADER, read_exactly
from bench.ports import connect
from bench.summary import percentile

PING = b"x" * 64


def main(port: int, seconds: float, pause: float = 0.0) -> None:
    """Play for *seconds*, with a *pause* after each round, and print the round trips' percentiles in milliseconds."""
    times = []
    with connect(port) as sock:
        sock.sendall(HEADER.pack(ECHO, ENDLESS))
        deadline = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < deadline:
            sock.sendall(PING)
            assert read_exactly(sock, len(PING)) == PING, "the echo broke"
            times.append(1000 * (time.perf_counter() - begun))
            if pause:
                time.sleep(pause)
    percentiles = {f"p{share}": percentile(times, share) for share in (50, 99, 99.9)}
    print(json.dumps({"count": len(times), **percentiles}))


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(float, sys.argv[2:]))
