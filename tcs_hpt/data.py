"""Data sets for training scripts: found in a prepared folder, else fetched once into the cache.

    folder = data.locate(trial.data_dir, "movielens/ml-100k", files=["u.data", "u.item"])
    if folder is None:
        data.fetch(URL, SHA256, into="movielens", unpack="zip")

A user's data folder is only read. The cache is `data/` in the user's cache folder; `TCS_HPT_CACHE_DIR` names another.
Downloads need `pooch` (in every extra of a built-in task that fetches).
"""

from __future__ import annotations

import hashlib
import importlib.util
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import platformdirs
from filelock import FileLock

from tcs_hpt.errors import TaskError

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 30.0
"""Without an answer from a server, not for a whole download."""

# The first releases of Python 3.11 have no filters; there the checksum has to do.
_SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


class DataUnavailable(TaskError):
    """A data set is not here, cannot be fetched, or is another than expected. One line; says which file goes where."""


def cache_folder() -> Path:
    """Where fetched data sets are kept; it may not exist yet."""
    named = os.environ.get("TCS_HPT_CACHE_DIR")
    return (Path(named) if named else Path(platformdirs.user_cache_dir("tcs-hpt"))).absolute() / "data"


def locate(data_dir: Path | None, *places: str, files: Iterable[str]) -> Path | None:
    """The first of the places that has all the files: below the data folder, then below the cache.

    Args:
        data_dir: The user's data folder, or None.
        places: Folders below it, with `/`, e.g. `movielens/ml-100k`; "" is the data folder itself.
        files: Paths below the place.
    """
    wanted = tuple(files)
    roots = [*([data_dir] if data_dir else []), cache_folder()]
    for folder in (root / place for root in roots for place in places):
        if all(os.path.isfile(folder / name) for name in wanted):  # a folder that may not be read has none
            return folder
    return None


def verify(path: Path, sha256: str) -> None:
    """Check that a file is the one expected; for what is dangerous to read, such as a pickle, before it is read.

    Raises:
        DataUnavailable: It is another one.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise DataUnavailable(
            f"{path} is not the file expected (its SHA-256 is not {sha256}): remove or replace it"
        )


def fetch(
    url: str,
    sha256: str | None,
    *,
    into: str,
    name: str | None = None,
    unpack: Literal["zip", "tar"] | None = None,
) -> Path:
    """Download a file into the cache, once, with progress and checksum; a broken download leaves nothing behind.

    Safe to call from several processes at once: one downloads, the others wait for it. What a killed process left is
    removed by the next one. The archive is kept beside what was in it, so that a file lost from it comes back without a
    second download.

    Args:
        url: Where the file is; `https`.
        sha256: What it must be; None only for a source that publishes changing files.
        into: Folder below the cache, e.g. `movielens`.
        name: What the file is called there; by default the last part of the address.
        unpack: Unpack the archive beside itself.

    Returns:
        The file; with `unpack`, the folder it was unpacked into.

    Raises:
        DataUnavailable: There is no network, another file, an archive that cannot be read, no place, or no `pooch`.
    """
    folder = cache_folder() / into
    file = folder / (name or urlsplit(url).path.rstrip("/").rpartition("/")[2])
    partial = folder / f".{file.name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.name}.lock"):
            try:
                shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
                partial.mkdir()
                if not _is_here(file, sha256):
                    os.replace(_download(url, sha256, partial, file.name), file)
                if unpack is not None:
                    _unpack(file, unpack, partial / "unpacked", folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; another checksum is a ValueError
        reason = " ".join(str(error).split())
        raise DataUnavailable(f"{url} cannot be fetched into {folder} ({reason})") from error
    return folder if unpack else file


def _is_here(file: Path, sha256: str | None) -> bool:
    """Whether the file was fetched before. One that has changed since is fetched again."""
    if not file.is_file() or sha256 is None:
        return file.is_file()
    try:
        verify(file, sha256)
    except DataUnavailable:
        return False
    return True


def _download(url: str, sha256: str | None, folder: Path, name: str) -> Path:
    """The file, below a folder for this download alone."""
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise DataUnavailable(f"{url} cannot be fetched without pooch: pip install pooch") from error
    progress = importlib.util.find_spec("tqdm") is not None  # pooch refuses to show progress without it
    found = pooch.retrieve(
        url,
        known_hash=None if sha256 is None else f"sha256:{sha256}",
        fname=name,
        path=folder,
        downloader=pooch.HTTPDownloader(
            progressbar=progress, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS
        ),
    )
    return Path(found)


def _unpack(archive: Path, kind: Literal["zip", "tar"], work: Path, folder: Path) -> None:
    """Move the archive's files into the folder, each of them whole; an archive that cannot be read is removed."""
    try:
        if kind == "zip":
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(work)
        else:
            with tarfile.open(archive) as tarred:
                tarred.extractall(work, **_SAFELY)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        archive.unlink()  # an error page under the archive's name, for instance: the next call fetches again
        raise ValueError(f"{archive.name} is not a {kind} archive: {error}") from error
    for file in sorted(path for path in work.rglob("*") if path.is_file()):
        target = folder / file.relative_to(work)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)


def missing(
    what: str, files: Iterable[str], place: str, data_dir: Path | None, *, why: str = ""
) -> DataUnavailable:
    """The sentence for a data set that is not here: which files go where.

    Args:
        what: Name of the data set.
        files: What is needed.
        place: Where it goes, below the data folder.
        data_dir: The user's data folder; without one, the cache is named.
        why: Why it could not be fetched, or how a person gets it.
    """
    folder = (data_dir if data_dir else cache_folder()) / place
    because = f" ({why})" if why else ""
    return DataUnavailable(f"{what} is not here{because}: put {', '.join(files)} into {folder}")
