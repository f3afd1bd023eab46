"""One download that lasts until it is told to end by the end of standard input: `stream PORT`."""

from __future__ import annotations

import json
import select
import sys
import time

from bench.origin import CHUNK, DOWN, ENDLESS, HEADER
from bench.ports import connect


def main(port: int) -> None:
    """Say when bytes flow, discard them, and print the rate at the end."""
    room, total = bytearray(CHUNK), 0
    with connect(port) as sock:
        sock.sendall(HEADER.pack(DOWN, ENDLESS))
        sock.recv(1)
        print("flowing", flush=True)
        begun = time.perf_counter()
        while not select.select([sys.stdin], [], [], 0)[0]:
            count = sock.recv_into(room, CHUNK)
            assert count, "the stream broke"
            total += count
    print(json.dumps({"bytes": total, "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
