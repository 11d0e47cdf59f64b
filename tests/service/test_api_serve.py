"""`tcs-hpt serve` as a user starts it: in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

HPT = [sys.executable, "-c", "from tcs_hpt.cli import main; main()"]
SECONDS = 90.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TCS_HPT_")}
    return {**kept, "TCS_HPT_STORE": str(tmp_path / "home" / "studies.db"), "COLUMNS": "100"}


def serve(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A start that is refused."""
    return subprocess.run(
        [*HPT, "serve", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@contextmanager
def serving(environment: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service, and where it is."""
    process = subprocess.Popen(
        [*HPT, "serve", "--port", "0", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"serving studies at (http://\S+)", line)
        assert found is not None, line + (process.stderr.read() if process.stderr else "")
        wait_for(f"{found[1]}/healthz")
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def wait_for(url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(environment: dict[str, str], number: signal.Signals) -> None:
    with serving(environment, "--no-worker") as (process, url):
        assert process.stdout is not None
        assert "tcs-hpt worker" in process.stdout.readline()
        assert httpx.get(f"{url}/api/v1/info").json()["auth"] is False
        assert "html" in httpx.get(url).headers["content-type"]
        with (
            httpx.Client(timeout=SECONDS) as client,
            client.stream("GET", f"{url}/api/v1/events") as stream,
        ):
            process.send_signal(number)
            assert b"data" not in b"".join(stream.iter_bytes())
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
        assert out == "ending\n"
        assert "Traceback" not in err


def test_a_worker_trains_what_is_entered_and_ends_with_the_service(environment: dict[str, str]) -> None:
    with serving(environment) as (process, url):
        body = {"task": "function_2d", "method": "expert", "trials": 2, "name": "s", "memory": False}
        assert httpx.post(f"{url}/api/v1/studies", json=body).status_code == 201
        deadline = time.monotonic() + SECONDS
        while (shown := httpx.get(f"{url}/api/v1/studies/s").json())["state"] != "finished":
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        assert shown["trials_done"] == 2
        assert shown["best"] is not None
        assert shown["message"] == "All trials are done."
        story = httpx.get(f"{url}/api/v1/studies/s/trials/1").json()
        assert story["log_tail"] is not None
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        gone, alive = psutil.wait_procs(children, timeout=SECONDS)
        assert not alive
        assert gone


def test_the_token_is_not_handed_on_to_scripts(environment: dict[str, str], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    with serving(
        {**environment, "TCS_HPT_TOKEN": "another-one-that-is-long"}, "--token-file", str(token)
    ) as (
        process,
        url,
    ):
        assert httpx.get(f"{url}/api/v1/info").status_code == 401
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        assert httpx.get(f"{url}/api/v1/info", headers=headers).json()["auth"] is True
        for child in psutil.Process(process.pid).children(recursive=True):
            assert "TCS_HPT_TOKEN" not in child.environ()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)


def test_what_cannot_be_is_said_in_a_sentence(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, message, hint in (
            (("--port", port), f"port {port} of 127.0.0.1 is taken by another program", "--port 0"),
            (("--host", "0.0.0.0"), "no token", "TCS_HPT_TOKEN"),
            (("--tasks-dir", str(tmp_path / "missing")), "no folder", "--tasks-dir"),
            (("--token-file", str(tmp_path / "missing")), "cannot be read", "--token-file"),
            (("--store", "nonsense://x"), "", ""),
        ):
            done = serve(environment, *arguments)
            assert done.returncode in (1, 2), arguments
            assert "Traceback" not in done.stderr
            assert done.stderr.startswith("error: ")
            assert message in done.stderr
            assert hint in done.stderr


def test_a_missing_extra_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "uvicorn.py").write_text("raise ImportError('No module named uvicorn')\n")
    done = serve({**environment, "PYTHONPATH": str(hidden)})
    assert done.returncode == 2
    assert "FastAPI and uvicorn" in done.stderr
    assert "pip install 'tcs-hpt[service]'" in done.stderr
