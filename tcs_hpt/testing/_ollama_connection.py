"""Connections to the stub of an Ollama server: how answers go over them, and how they break."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tcs_hpt.testing._ollama_stub import Json


class ConnectionServer(ThreadingHTTPServer):
    """Remembers its connections, so that none outlives the test."""

    daemon_threads = False

    def __init__(self, handler: type[Connection]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.connections: set[socket.socket] = set()

    def end_connections(self) -> None:
        """End those that are still open."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its handler was faster


class Connection(BaseHTTPRequestHandler):
    """One connection; what is asked and answered over it is up to its subclass."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # small pieces, each at once
    server: ConnectionServer

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # a client that goes away in the middle is what tests do

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""

    def send_json(self, value: Json, status: int = 200) -> None:
        """Answer with one JSON value."""
        self.send(json.dumps(value).encode(), "application/json; charset=utf-8", status)

    def send(self, content: bytes, kind: str, status: int = 200) -> None:
        """Answer with `content` of the media type `kind`."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_lines(self, lines: Iterator[Json] | Iterator[Json | bytes]) -> None:
        """Answer with a stream, a line for each JSON value; bytes are sent as they are."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        if not self.close_connection:
            self.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """End the connection in the middle of an answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break the connection without an answer."""
        # Closing with a linger time of zero, and without an orderly end before, sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())
