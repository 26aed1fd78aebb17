"""A TCP proxy in front of a server, to break connections as networks do."""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from typing import Self

FIELDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to a test\0\0"
GOODBYE = b"E" + struct.pack("!i", 4 + len(FIELDS)) + FIELDS


class Proxy(socketserver.ThreadingTCPServer):
    """Passes connections on to a port; it can hold everything back, and cut off replies."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), Link)
        self.port = int(self.server_address[1])
        self.target = target
        self.links: list[Link] = []
        self.flow = threading.Event()
        self.flow.set()
        # The reply to the first message that holds the marker is cut off; all are counted.
        self.marker, self.marker_count = b"", 0

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @contextlib.contextmanager
    def stall(self) -> Iterator[None]:
        """Let nothing through, in either direction, and at the end first what was held back."""
        self.flow.clear()
        try:
            yield
        finally:
            self.flow.set()

    def say_goodbye(self) -> None:
        """Tell all clients, as Postgres does, that it ends; but leave their sockets open."""
        for link in self.links:
            with contextlib.suppress(OSError):
                link.request.sendall(GOODBYE)


class Link(socketserver.BaseRequestHandler):
    """One connection through the proxy."""

    server: Proxy
    request: socket.socket
    drop_next = False  # whether the next reply is not to arrive

    def handle(self) -> None:
        """Pass both ways until one side ends."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.links.append(self)
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.server.target)) as server,
        ):
            replies = threading.Thread(target=self.pass_back, args=(server,), daemon=True)
            replies.start()
            while data := self.request.recv(65_536):
                if self.server.marker and self.server.marker in data:
                    self.server.marker_count += 1
                    self.drop_next = self.server.marker_count == 1
                self.server.flow.wait()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
            replies.join()

    def pass_back(self, server: socket.socket) -> None:
        """Pass the replies on, until one is to be cut off."""
        with contextlib.suppress(OSError):
            while (data := server.recv(65_536)) and not self.drop_next:
                self.server.flow.wait()
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_RDWR)
