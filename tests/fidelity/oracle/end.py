"""One end of a connection: a socket that is told what to do and writes down what it sees."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import termios
import time

from oracle.trace import END, READ, RECEIVED, SILENCE
from oracle.watched import CHUNK_BYTES, PATIENCE, Watched, named

# A sender that found no room for so long has filled everything between itself and a reader that does not read.
_FULL_AFTER = 0.25
# The kernel doubles it. Large enough for loopback's 64 KiB segments, small enough that a stream of megabytes fills it.
_NARROW_BYTES = 65536
_MOST_BYTES = 1 << 28  # a send that should be refused must not go on for ever
_POLLRDHUP = select.POLLRDHUP
_LINGER_NONE = struct.pack("ii", 1, 0)


class End(Watched):
    """The client's or the server's end of one connection: what a script can have it do."""

    def connect(self) -> None:
        """Connect. Where nothing is between the ends, a client tries again by itself, as a relay would for it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            sock = self._adopt(socket.socket())
            sock.settimeout(PATIENCE)
            failure = sock.connect_ex(("127.0.0.1", self.route.listen))
            if not failure:
                break
            self._sockets.pop().close()
            if not (self.direct and failure == errno.ECONNREFUSED and time.monotonic() < deadline):
                self.stop(f"no connection: {errno.errorcode.get(failure, failure)}")
            time.sleep(0.01)
        sock.settimeout(0)
        self.saw("connected")

    def listen(self, backlog: int = 16) -> None:
        """Begin to accept connections in the kernel."""
        if self.narrow:
            self.route.upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BYTES)
        self.route.upstream.listen(backlog)

    def accept(self, patience: float = PATIENCE) -> bool:
        """Take the next connection, or write down that nobody came."""
        self.route.upstream.settimeout(patience)
        try:
            sock, _ = self.route.upstream.accept()
        except TimeoutError:
            self.saw("nobody came")
            return False
        self._adopt(sock).settimeout(0)
        self.saw("connected")
        return True

    def occupy(self) -> None:
        """Listen, and take the only place in the accept queue: the kernel then drops every SYN (tcp(7))."""
        self.listen(0)
        self._filler = socket.create_connection(self.route.upstream.getsockname())

    def release(self) -> None:
        """Free the place in the accept queue; the next retransmitted SYN gets it."""
        sock, _ = self.route.upstream.accept()
        sock.close()
        if self._filler is not None:
            self._filler.close()

    def stop_listening(self) -> None:
        """Close the listener once a connection waits in its queue, which resets that."""
        poll = select.poll()
        poll.register(self.route.upstream, select.POLLIN)
        if not poll.poll(PATIENCE * 1000):
            self.stop("no connection")
        self.route.upstream.close()

    def send(self, count: int, chunk: int = CHUNK_BYTES) -> None:
        """Send the next *count* bytes of the pattern, with at most *chunk* a call."""
        goal = self.sent + count
        while self.sent < goal:
            if not self._send_some(min(chunk, goal - self.sent)) and not self._poll(select.POLLOUT, PATIENCE):
                self.stop("stuck sending")

    def fill(self) -> None:
        """Send until nothing between here and a reader that does not read has room any more."""
        while self.sent < _MOST_BYTES and (self._send_some(CHUNK_BYTES) or self._poll(select.POLLOUT, _FULL_AFTER)):
            pass

    def send_until_refused(self, chunk: int) -> None:
        """Send until the kernel refuses, because the other end is gone; write down how.

        One call where *chunk* is all that is to be sent: then wait until the answer to it, a reset, is there.
        """
        once = chunk < CHUNK_BYTES
        while self.sent < _MOST_BYTES:
            try:
                self._push(chunk)
            except BlockingIOError:
                if not self._poll(select.POLLOUT, PATIENCE):
                    self.stop("stuck sending")
            except OSError as error:
                self.saw(f"refused: {named(error)}")
                return
            else:
                if once:
                    self.await_error()
                    return
        self.stop("never refused")

    def read(self, count: int) -> None:
        """Read the next *count* bytes, not one more."""
        goal = self.received + count
        while self.received < goal:
            if self._receive(goal - self.received) == 0:
                self._saw_bytes(RECEIVED)
                self.stop(END)
        self._saw_bytes(READ)

    def read_to_end(self, chunk: int = CHUNK_BYTES) -> None:
        """Read until the stream ends, one way or another."""
        while self._receive(chunk) > 0:
            pass
        self._saw_bytes(RECEIVED)
        self.saw(END)

    def exchange(self, count: int, expected: int | None = None) -> None:
        """Send *count* bytes while reading *expected* ones; without *expected*, both up to the end of the stream."""
        goal = self.sent + count
        wanted = expected is None or self.received < expected
        while wanted or self.sent < goal:
            ready = self._poll((select.POLLIN * wanted) | (select.POLLOUT * (self.sent < goal)), PATIENCE)
            if not ready:
                self._saw_bytes(RECEIVED)
                self.stop(SILENCE)
            if ready & select.POLLOUT and self.sent < goal:
                self._send_some(min(CHUNK_BYTES, goal - self.sent))
                if self.sent == goal and expected is None:
                    self.end()
            if ready & ~select.POLLOUT and wanted:
                more = self._receive(CHUNK_BYTES)
                wanted = more > 0 and (expected is None or self.received < expected)
        self._saw_bytes(READ if self.received == expected else RECEIVED)
        if expected is None:
            self.saw(END)

    def await_bytes(self, count: int) -> None:
        """Wait until *count* bytes have arrived, without reading them."""
        self._await(lambda: self._queued(termios.FIONREAD) >= count, "silence instead of bytes")

    def await_ending(self) -> None:
        """Wait until an ending has arrived, without reading it."""
        if not self._poll(_POLLRDHUP, PATIENCE):
            self.stop("silence instead of an ending")

    def await_error(self) -> None:
        """Wait until the kernel knows the connection as broken; write down how."""
        if not self._poll(0, PATIENCE):
            self.stop("silence instead of an error")
        failure = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.saw(f"refused: {errno.errorcode.get(failure, 'end of stream')}")

    def hear_nothing(self, seconds: float) -> None:
        """Make sure that for so long neither a byte nor an ending arrives."""
        if self._poll(select.POLLIN | _POLLRDHUP, seconds):
            self.stop("heard something too early")
        self.saw(f"nothing for {seconds:g} s")

    def end(self) -> None:
        """End the stream that this end sends; the other direction lives on."""
        # A connection that was reset already has no end; whoever reads will see that.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket: an orderly end, or a reset if bytes are unread (RFC 2525, 2.17)."""
        self.acknowledged = max(self.sent - self._queued(termios.TIOCOUTQ), 0)
        self.connection.close()

    def reset(self) -> None:
        """Close by a reset, whatever is queued."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self.close()
