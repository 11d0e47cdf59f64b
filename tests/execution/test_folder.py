from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import psutil
import pytest

from tcs_hpt.errors import StoreError
from tcs_hpt.execution import folder
from tests.execution.fake_scripts import executor, make_job


def no_space(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_text

    def write_text(path: Path, *args: Any, **kwargs: Any) -> int:
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", write_text)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    job = make_job(tmp_path, "")
    (tmp_path / "trials").write_text("a file")
    with pytest.raises(StoreError, match=r"trials/3 cannot be written") as caught:
        executor().run(job, lambda _: None)
    assert "move it away" in caught.value.hint
    (tmp_path / "trials").unlink()
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "3").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        executor().run(job, lambda _: None)
    assert "move it away" in caught.value.hint


def test_something_in_the_place_of_a_log_is_removed(tmp_path: Path) -> None:
    job = make_job(tmp_path, "print('hello')")
    (job.folder / "stdout.log" / "deep").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (job.folder / "result.json").symlink_to(tmp_path / "precious")
    executor().run(job, lambda _: None)
    assert (job.folder / "stdout.log").read_text() == "hello\n"
    assert (tmp_path / "precious").is_dir()


@pytest.mark.parametrize("name", ["config.json", "process.json"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    no_space(name, monkeypatch)
    job = make_job(tmp_path, "import time; time.sleep(60)")
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with pytest.raises(StoreError, match="No space left on device") as caught:
        executor().run(job, lambda _: None)
    assert "The disk is full" in caught.value.hint
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before  # nothing was left running


def test_other_troubles_have_a_hint_too(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught, folder.writing(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert "permissions" in caught.value.hint
