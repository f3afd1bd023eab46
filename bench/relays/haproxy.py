"""HAProxy in TCP mode, quiet and without timeouts that could cut, with the buffers and splicing that cost it least."""

from __future__ import annotations

import resource

from bench.processes import Launch
from bench.relays.model import Relay, at, needs

FILES_APART = 1000  # descriptors for its own use and for splicing's pipes
TEMPLATE = """\
global
    maxconn {maxconn}
    maxpipes 200
    nbthread {threads}
    tune.bufsize {bufsize}
    tune.pipesize 1048576
defaults
    mode tcp
    maxconn {maxconn}
    timeout connect 10s
    timeout client 1h
    timeout server 1h
{options}
listen relay
    bind {listen}
    server upstream {upstream}
"""
# Measured on two cores: splicing at HAProxy's own judgement hardly ever begins and costs nothing; splicing at once is
# the best there is for bulk (0.22 CPU s per GiB against 0.5, and 1.0 with the default 16 KiB buffers), but costs a
# quarter more a round trip. So HAProxy gets both, each where it is at its best.
AUTO = "    option splice-auto"
AT_ONCE = "    option splice-request\n    option splice-response"


def configuration(listen: int, upstream: int, *, threads: int, bufsize: int, options: str) -> str:
    """Write haproxy.cfg."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return TEMPLATE.format(
        maxconn=max(100, min(10_000, (files - FILES_APART) // 2)),
        threads=threads,
        bufsize=bufsize,
        options=options,
        listen=at(listen),
        upstream=at(upstream),
    )


def variant(name: str, *, threads: int = 1, bufsize: int = 65_536, options: str = AUTO) -> Relay:
    """Make a relay of HAProxy with these settings."""

    def launch(listen: int, upstream: int) -> tuple[Launch, ...]:
        text = configuration(listen, upstream, threads=threads, bufsize=bufsize, options=options)
        return (Launch(("haproxy", "-db", "-f", "haproxy.cfg"), listen, files={"haproxy.cfg": text}),)

    return Relay(name, launch, needs("haproxy"))


HAPROXY = variant("haproxy")
SPLICING = variant("haproxy, splice", bufsize=16_384, options=AT_ONCE)
TWO_THREADS = variant("haproxy, 2 threads", threads=2)
