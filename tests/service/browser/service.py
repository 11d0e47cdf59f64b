"""The real service in a process of its own, as `tcs-hpt serve` starts it, and requests to it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import httpx

START_SECONDS = 60.0
STUDY_SECONDS = 120.0
END_SECONDS = 60.0
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Service:
    """`tcs-hpt serve` on a store; it takes a free port first, and the same one when it is started again.

    Args:
        folder: Store, cache and log lie there.
        token: What requests must show.
        worker: Whether it trains; without, it only shows what there is.
    """

    def __init__(self, folder: Path, *, token: str = "", worker: bool = True) -> None:
        self.folder = folder
        self.store = folder / "studies.db"
        self.token = token
        self.worker = worker
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        command = [sys.executable, "-c", "from tcs_hpt.cli import main; main()", "serve"]
        command += ["--store", str(self.store), "--port", str(self.port)]
        if not self.worker:
            command.append("--no-worker")
        environment = {k: v for k, v in os.environ.items() if k != "TCS_HPT_TOKEN"}
        if self.token:
            environment["TCS_HPT_TOKEN"] = self.token
        with (self.folder / "serve.log").open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(begin):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the service did not start:\n{self.log}")
            time.sleep(0.05)

    def _answers(self, begin: int) -> bool:
        if not self.port:
            found = _ADDRESS.search(self.log[begin:])
            if found is None:
                return False
            self.port = int(found[1])
        try:
            return httpx.get(f"{self.url}healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """As a power cut would end the web process; its workers notice by themselves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_SECONDS)
            self._process = None

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            # Whatever is left of the session belongs to this service alone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(END_SECONDS)
        self._process = None

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- requests -----------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = httpx.request(method, f"{self.url}api/v1/{path}", json=body, headers=headers, timeout=30)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def create(self, **launch: Any) -> str:
        """Enter a study; returns its name."""
        return cast(str, self.ask("POST", "studies", launch)["name"])

    def detail(self, name: str) -> dict[str, Any]:
        return cast("dict[str, Any]", self.ask("GET", f"studies/{name}"))

    def wait(self, name: str, *states: str) -> dict[str, Any]:
        """The study, once it is in one of these states."""
        deadline = time.monotonic() + STUDY_SECONDS
        while (found := self.detail(name))["state"] not in states:
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} is still {found['state']}:\n{self.log}")
            time.sleep(0.1)
        return found

    def finished(self, **launch: Any) -> str:
        """Enter a study and wait for its end; returns its name."""
        name = self.create(**launch)
        self.wait(name, "finished")
        return name
