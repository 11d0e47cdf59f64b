"""The API on a real server, in a thread of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tcs_hpt.service.app import create_app
from tcs_hpt.service.server import Server, bound_socket, url_of
from tcs_hpt.service.settings import ServiceSettings
from tcs_hpt.store import Store

SECONDS = 60.0
"""The longest that anything here is waited for."""


class Sent(NamedTuple):
    """One event of a stream."""

    id: str
    kind: str
    data: Any


class Served:
    """A server in a thread of this process."""

    def __init__(self, store: Store, server: Server, url: str, thread: threading.Thread) -> None:
        self.store = store
        self.server = server
        self.url = url
        self.thread = thread

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[Iterator[Sent]]:
        """The events of a stream, as they come."""
        with (
            httpx.Client(base_url=self.url, timeout=SECONDS) as client,
            client.stream("GET", f"/api/v1{path}", headers=headers) as response,
        ):
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            yield parsed(response.iter_lines())

    def end(self) -> None:
        """End the server as Ctrl-C does."""
        self.server.should_exit = True
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()


def parsed(lines: Iterator[str]) -> Iterator[Sent]:
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Sent(fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """A server over a new database in a folder."""
    with (
        Store.open(str(folder / "home" / "studies.db")) as store,
        bound_socket("127.0.0.1", 0) as listening,
    ):
        server = Server(create_app(ServiceSettings(poll_seconds=0.02), store=store))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        made = Served(store, server, url_of(listening), thread)
        try:
            yield made
        finally:
            made.end()
