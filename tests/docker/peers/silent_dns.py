"""Be a name server that receives every question and answers none."""

import select
import socket
import sys

server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("", 53))
server.recv(512)  # the longest question over UDP (RFC 1035, section 2.3.4)
sys.stdout.write("asked\n")
sys.stdout.flush()
select.select([], [], [])
