"""The stream module of nginx, one worker, quiet, with the buffers that cost it least."""

from __future__ import annotations

from pathlib import Path

from bench.processes import Launch
from bench.relays.model import Relay, at, needs

# Debian builds the stream module as a shared object; elsewhere it is compiled in.
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
TEMPLATE = """\
{module}
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr crit;
events {{
    worker_connections 16000;
    multi_accept on;
}}
stream {{
    access_log off;
    server {{
        listen {listen} backlog=4096;
        tcp_nodelay on;
        proxy_buffer_size {buffer};
        proxy_timeout 1h;
        proxy_half_close on;
        proxy_pass {upstream};
    }}
}}
"""


def variant(name: str, buffer: str) -> Relay:
    """Make a relay of nginx in the foreground, with buffers of this size."""

    def launch(listen: int, upstream: int) -> tuple[Launch, ...]:
        module = f"load_module {MODULE};" if MODULE.exists() else ""
        text = TEMPLATE.format(module=module, buffer=buffer, listen=at(listen), upstream=at(upstream)).lstrip()
        argv = ("nginx", "-p", ".", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;")
        return (Launch(argv, listen, files={"nginx.conf": text}),)

    return Relay(name, launch, needs("nginx"))


# Measured on two cores: 1 MiB halves the CPU of bulk (0.25 s per GiB against 0.55) and adds a tenth to a round trip.
NGINX = variant("nginx", "64k")
LARGE_BUFFERS = variant("nginx, 1 MiB", "1m")
