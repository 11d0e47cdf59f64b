from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt import data
from tcs_hpt.data import DataUnavailable

CONTENT = b"1\t2\t3\n" * 1000
CLOSED = "http://127.0.0.1:9/u.data"


@dataclass
class Site:
    """What a server of this machine hands out, and what was asked of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    breaks_off: bool = False
    root: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            content = site.files.get(self.path.partition("?")[0])
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:100] if site.breaks_off else content)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.root = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; what is asked of this machine goes through no proxy."""
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "data"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def left_in(folder: Path) -> set[str]:
    """All files below the folder but the locks, and the folders that are empty."""
    found = [p for p in folder.rglob("*") if not p.name.endswith(".lock")]
    return {p.relative_to(folder).as_posix() for p in found if p.is_file() or not any(p.iterdir())}


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CONTENT)


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: dict[str, bytes], mode: Any = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_the_cache_is_in_the_users_cache_folder_unless_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data.cache_folder() == cache
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", "relative")
    assert data.cache_folder() == Path.cwd() / "relative" / "data"
    monkeypatch.delenv("TCS_HPT_CACHE_DIR")
    assert data.cache_folder().parts[-2:] == ("tcs-hpt", "data")


def test_the_first_place_with_all_the_files_is_located(tmp_path: Path, cache: Path) -> None:
    mine = tmp_path / "mine"
    write(cache, "ml/a", "ml/b")
    assert data.locate(mine, "other/ml", "ml", files=["a", "b"]) == cache / "ml"
    assert data.locate(None, "ml", files=["a", "b"]) == cache / "ml"
    write(mine, "ml/a")
    assert data.locate(mine, "ml", files=["a", "b"]) == cache / "ml"  # half of it is nothing
    assert data.locate(mine, "ml", files=["a"]) == mine / "ml"
    write(mine, "ml/b", "other/ml/a", "other/ml/b")
    assert data.locate(mine, "ml", "other/ml", files=["a", "b"]) == mine / "ml"
    assert data.locate(mine, "other/ml", "ml", files=iter(["a", "b"])) == mine / "other" / "ml"
    write(mine, "a", "b")
    assert data.locate(mine, "", files=["a", "b"]) == mine
    assert data.locate(mine, "ml", files=["a", "c"]) is None


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "ml" / "a").mkdir(parents=True)
    assert data.locate(tmp_path, "ml", files=["a"]) is None


def test_another_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "a")
    data.verify(tmp_path / "a", sha256(CONTENT))
    (tmp_path / "a").write_bytes(b"another")
    with pytest.raises(DataUnavailable) as raised:
        data.verify(tmp_path / "a", sha256(CONTENT))
    assert str(raised.value) == (
        f"{tmp_path / 'a'} is not the file expected (its SHA-256 is not {sha256(CONTENT)}): remove or replace it"
    )


def test_what_is_missing_is_told_in_one_line(tmp_path: Path, cache: Path) -> None:
    error = data.missing("ML", ["a", "b"], "ml", tmp_path / "mine", why="no network")
    assert str(error) == f"ML is not here (no network): put a, b into {tmp_path / 'mine' / 'ml'}"
    assert str(data.missing("ML", ["a"], "ml", None)) == f"ML is not here: put a into {cache / 'ml'}"


@pytest.mark.parametrize("digest", [sha256(CONTENT), None])
def test_a_file_is_fetched_once(site: Site, cache: Path, digest: str | None) -> None:
    site.files["/ml/u.data"] = CONTENT
    for _ in range(2):
        path = data.fetch(f"{site.root}/ml/u.data?download=1", digest, into="ml")
        assert path == cache / "ml" / "u.data"
        assert path.read_bytes() == CONTENT
    assert site.asked == ["/ml/u.data?download=1"]
    assert left_in(cache) == {"ml/u.data"}


def test_a_file_may_get_another_name(site: Site, cache: Path) -> None:
    site.files["/17"] = CONTENT
    assert data.fetch(f"{site.root}/17", None, into="a/b", name="u.data") == cache / "a" / "b" / "u.data"


def test_progress_is_shown_and_not_on_stdout(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.files["/u.data"] = CONTENT
    data.fetch(f"{site.root}/u.data", None, into="ml")
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err


def test_without_tqdm_it_goes_without_a_progress_bar(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch.downloaders

    monkeypatch.setattr(pooch.downloaders, "tqdm", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    site.files["/u.data"] = CONTENT
    assert data.fetch(f"{site.root}/u.data", None, into="ml").is_file()


def test_another_file_than_expected_is_not_kept(site: Site, cache: Path) -> None:
    site.files["/u.data"] = b"an error page"
    with pytest.raises(DataUnavailable) as raised:
        data.fetch(f"{site.root}/u.data", sha256(CONTENT), into="ml")
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{site.root}/u.data cannot be fetched into {cache / 'ml'} (")
    assert sha256(CONTENT) in message
    assert left_in(cache / "ml") == set()


def test_a_download_that_breaks_off_leaves_nothing(site: Site, cache: Path) -> None:
    site.files["/u.data"] = CONTENT
    site.breaks_off = True
    with pytest.raises(DataUnavailable, match="cannot be fetched") as raised:
        data.fetch(f"{site.root}/u.data", None, into="ml")
    assert "\n" not in str(raised.value)
    assert left_in(cache / "ml") == set()
    site.breaks_off = False
    assert data.fetch(f"{site.root}/u.data", None, into="ml").read_bytes() == CONTENT


def test_no_file_and_no_server_are_one_line_each(site: Site, cache: Path) -> None:
    for url, reason in (f"{site.root}/u.data", "404"), (CLOSED, "Connection refused"):
        with pytest.raises(DataUnavailable, match=reason) as raised:
            data.fetch(url, None, into="ml")
        assert "\n" not in str(raised.value)
    assert left_in(cache / "ml") == set()


def test_a_cache_that_cannot_be_made_is_one_line(site: Site, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file")
    with pytest.raises(DataUnavailable, match=f"cannot be fetched into {cache / 'ml'}"):
        data.fetch(f"{site.root}/u.data", None, into="ml")
    assert site.asked == []


def test_a_file_that_changed_in_the_cache_is_fetched_again(site: Site, cache: Path) -> None:
    site.files["/u.data"] = CONTENT
    write(cache, "ml/u.data")
    assert data.fetch(f"{site.root}/u.data", sha256(CONTENT), into="ml").read_bytes() == CONTENT
    assert site.asked == []
    (cache / "ml" / "u.data").write_bytes(CONTENT[:10])
    assert data.fetch(f"{site.root}/u.data", sha256(CONTENT), into="ml").read_bytes() == CONTENT
    assert site.asked == ["/u.data"]


def test_what_a_killed_process_left_is_removed(site: Site, cache: Path) -> None:
    site.files["/u.data"] = CONTENT
    write(cache, "ml/.u.data.partial/tmp123", "ml/.u.data.partial/unpacked/u.data")
    data.fetch(f"{site.root}/u.data", None, into="ml")
    assert left_in(cache) == {"ml/u.data"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_unpacked_beside_itself(site: Site, cache: Path, kind: Any) -> None:
    files = {"ml-100k/u.data": CONTENT, "ml-100k/more/u.item": b"films"}
    site.files["/ml.bin"] = content = {"zip": zipped, "tar": tarred}[kind](files)
    for _ in range(2):
        folder = data.fetch(f"{site.root}/ml.bin", sha256(content), into="ml", unpack=kind)
        assert folder == cache / "ml"
        assert {name: (folder / name).read_bytes() for name in files} == files
        assert left_in(folder) == {"ml.bin", *files}
        (folder / "ml-100k" / "u.data").unlink()  # comes back from the archive
    assert site.asked == ["/ml.bin"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("how", ["an error page", "cut"])
def test_a_broken_archive_is_one_line_and_fetched_again(site: Site, cache: Path, kind: Any, how: str) -> None:
    whole = {"zip": zipped, "tar": tarred}[kind]({"u.data": os.urandom(5000)})
    site.files["/ml.bin"] = b"<html>" if how == "an error page" else whole[:3000]
    with pytest.raises(DataUnavailable, match=f"ml.bin is not a {kind} archive") as raised:
        data.fetch(f"{site.root}/ml.bin", None, into="ml", unpack=kind)
    assert "\n" not in str(raised.value)
    assert left_in(cache / "ml") == set()
    site.files["/ml.bin"] = whole
    data.fetch(f"{site.root}/ml.bin", None, into="ml", unpack=kind)
    assert left_in(cache / "ml") == {"ml.bin", "u.data"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_cannot_write_outside_its_folder(
    site: Site, cache: Path, tmp_path: Path, kind: Any
) -> None:
    site.files["/ml.bin"] = {"zip": zipped, "tar": tarred}[kind]({"../../../escaped": b"x"})
    with contextlib.suppress(DataUnavailable):
        data.fetch(f"{site.root}/ml.bin", None, into="ml", unpack=kind)
    assert [p for p in tmp_path.rglob("escaped*") if cache / "ml" not in p.parents] == []


def test_several_processes_fetch_one_file_once(site: Site, cache: Path) -> None:
    site.files["/ml.zip"] = content = zipped({"u.data": CONTENT})
    code = (
        "import sys; from tcs_hpt import data; url, digest = sys.argv[1:];"
        "print((data.fetch(url, digest, into='ml', unpack='zip') / 'u.data').stat().st_size)"
    )
    command = [sys.executable, "-c", code, f"{site.root}/ml.zip", sha256(content)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in running:
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert out == f"{len(CONTENT)}\n"
    assert site.asked == ["/ml.zip"]
    assert left_in(cache) == {"ml/ml.zip", "ml/u.data"}


def test_without_pooch_the_command_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataUnavailable) as raised:
        data.fetch(CLOSED, None, into="ml")
    assert str(raised.value) == f"{CLOSED} cannot be fetched without pooch: pip install pooch"
    assert left_in(cache / "ml") == set()
