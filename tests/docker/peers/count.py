"""Have Redis count as fast as it answers, over one connection, until the file /enough exists; check every answer.

Several increments are always under way, so that whatever befalls the connection befalls data in flight.
"""

import socket
import sys
from pathlib import Path

IN_FLIGHT = 200
INCREMENT = b"INCR counter\r\n"

redis = socket.create_connection(("redis", 6379))
redis.sendall(INCREMENT * IN_FLIGHT)
counted = 0
for counted, answer in enumerate(redis.makefile("rb"), start=1):
    if answer != b":%d\r\n" % counted:
        sys.exit(f"answer {counted} is {answer!r}")
    if counted % IN_FLIGHT == 0:
        Path("/counted").write_text(f"{counted}\n")
    if Path("/enough").exists():
        sys.stdout.write(f"counted {counted}\n")
        sys.exit()
    redis.sendall(INCREMENT)
sys.exit(f"the connection ended after {counted} answers")
