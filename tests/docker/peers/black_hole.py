"""Leave every connection to port 6379 unanswered: a full accept queue makes the kernel drop what asks to come in."""

import select
import socket

server = socket.socket()
server.bind(("", 6379))
server.listen(0)
queue = []
for _ in range(8):
    client = socket.socket()
    client.setblocking(False)  # noqa: FBT003 - the socket module's own call
    client.connect_ex(("127.0.0.1", 6379))
    queue.append(client)
select.select([], [], [])
