"""The server under the app: uvicorn on a socket that was bound before anything was started."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from tcs_hpt.errors import UserError
from tcs_hpt.service.context import Service

LONGEST_GOODBYE_SECONDS = 10
"""What running requests may take when the service ends."""


@contextmanager
def bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound and does not listen yet, so that a port which is taken is known before workers are started.

    Args:
        host: Address or name.
        port: 0 for a free one.

    Raises:
        UserError: The host is not this machine's, or the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"{host!r} is not an address to listen on: {error}",
            hint="Check --host; 127.0.0.1 is this machine alone.",
        ) from error
    with socket.socket(family, kind, protocol) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen()  # two sockets may be bound to one port, and only one of them listens
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            what = "is taken by another program" if taken else f"cannot be used: {error.strerror}"
            raise UserError(
                f"port {port} of {host} {what}",
                hint="Choose another one with --port; --port 0 takes a free one.",
            ) from error
        yield listening


def url_of(listening: socket.socket) -> str:
    """Where a browser on this machine finds what a socket listens for."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Serves one app until Ctrl-C or SIGTERM; streams of events end first, since they never end by themselves.

    Args:
        app: What `create_app` made.
    """

    def __init__(self, app: FastAPI) -> None:
        self._service: Service = app.state.service
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="on",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=LONGEST_GOODBYE_SECONDS,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order."""
        self._service.pulse.close()
        await super().shutdown(sockets)
