"""Which relays take part in which shapes; ours comes first in each."""

from __future__ import annotations

from bench.relays.ambassador import ADMIN, AMBASSADOR, LOGGING, TWO_WORKERS
from bench.relays.haproxy import HAPROXY, SPLICING, TWO_THREADS
from bench.relays.nginx import LARGE_BUFFERS, NGINX
from bench.relays.others import DIRECT, DOCKER_PROXY, FLOOR, OLDER_DOCKER_PROXY, SOCAT, STREAMS

COMMON = (DOCKER_PROXY, SOCAT, STREAMS, DIRECT)
BULK = (AMBASSADOR, FLOOR, HAPROXY, SPLICING, NGINX, LARGE_BUFFERS, OLDER_DOCKER_PROXY, *COMMON)
# The floor takes one client at a time.
BESIDE = tuple(relay for relay in BULK if relay is not FLOOR)
MESSAGES = (AMBASSADOR, HAPROXY, NGINX, *COMMON)
RECONNECT = (AMBASSADOR, LOGGING, HAPROXY, NGINX, *COMMON)
IDLE = (AMBASSADOR, HAPROXY, NGINX, DOCKER_PROXY, STREAMS)  # not socat, which is a process a connection
RESIDENT = (ADMIN, *IDLE)
WORKERS = (AMBASSADOR, TWO_WORKERS, HAPROXY, TWO_THREADS, DIRECT)
