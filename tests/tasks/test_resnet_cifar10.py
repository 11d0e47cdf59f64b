from __future__ import annotations

import hashlib
import http.server
import pickle
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.data import DataUnavailable
from tcs_hpt.testing.tasks import TaskContract, prepared_data
from tests.tasks.resnet_checks import ResNetChecks, load_script

TASK = load_task("resnet_cifar10")


class TestResNetCifar10(TaskContract):
    task = "resnet_cifar10"
    test_score = "test_accuracy"
    needs = "cifar10"


class TestScript(ResNetChecks):
    task = "resnet_cifar10"
    weights = 11_173_962
    lr_of_epochs = [0.1, 0.1, 0.01]
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    further = {f"val_accuracy_{name}" for name in classes}

    def test_the_accuracy_of_all_is_the_mean_of_the_classes(self, train: Any) -> None:
        result = train({"optimizer": "adam", "lr": 0.01, "batch_size": 32})[1]
        found = [result[name] for name in self.further]  # as many images of each
        assert np.mean(found) == pytest.approx(result["val_accuracy"])


@pytest.fixture(scope="module")
def cifar10() -> Any:
    """The file with the data."""
    return load_script(TASK).cifar10


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


@pytest.fixture
def original(cifar10: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in the form of the original ones, 20 images each, and no network."""
    folder = tmp_path / "original" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in cifar10.BATCHES:
        pixels = random.integers(0, 256, (20, 3072)).astype(np.uint8)
        content = pickle.dumps({b"data": pixels, b"labels": [*range(10)] * 2})
        (folder / name).write_bytes(content)
        monkeypatch.setitem(cifar10.BATCHES, name, hashlib.md5(content).hexdigest())
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    return folder


def test_the_split_never_changes_and_every_class_has_its_share(
    cifar10: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.random.default_rng(3).permutation(np.arange(50_000) % 10)
    photos = SimpleNamespace(labels=labels, images=lambda rows: rows)
    test = SimpleNamespace(labels=np.arange(10_000) % 10, images=lambda rows: rows)
    monkeypatch.setattr(cifar10, "find", lambda *_: (photos, test))
    whole = [rows for rows, _ in cifar10.load(None, (45_000, 5_000, 10_000), 32, False)]
    assert [len(rows) for rows in whole] == [45_000, 5_000, 10_000]
    assert set(whole[0]).isdisjoint(whole[1])
    assert np.bincount(labels[whole[1]]).tolist() == [500] * 10
    parts = cifar10.load(None, (4_000, 1_000, 1_000), 32, False)
    for (rows, found), of, count in zip(parts, whole, (400, 100, 100), strict=True):
        assert set(rows) < set(of)
        assert np.bincount(found).tolist() == [count] * 10
    again = cifar10.load(None, (4_000, 1_000, 1_000), 32, False)
    assert [rows.tolist() for rows, _ in again] == [rows.tolist() for rows, _ in parts]


def test_the_prepared_photos_are_those_of_cifar_10(cifar10: Any) -> None:
    (images, labels), (_, val), (_, test) = cifar10.load(prepared_data("cifar10"), (600, 200, 100), 32, False)
    assert images.shape == (600, 32, 32, 3)
    assert images.dtype == np.uint8
    assert [np.bincount(part).tolist() for part in (labels, val, test)] == [[60] * 10, [20] * 10, [10] * 10]
    assert images.mean(axis=(0, 1, 2)) / 255 == pytest.approx([0.491, 0.482, 0.447], abs=0.02)


def test_many_photos_are_decoded_once(cifar10: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = cifar10.Jpegs(prepared_data("cifar10") / "cifar10" / "cifar10_test_jpeg.npz")
    few = photos.images(np.arange(20))
    assert not cache.exists()
    many = photos.images(np.arange(1000))
    assert [path.suffix for path in (cache / "cifar10").iterdir()] == [".npy"]
    assert (many[:20] == few).all()
    monkeypatch.setattr(cifar10.Image, "open", None)
    assert (photos.images(np.arange(1000)) == many).all()
    with pytest.raises(TypeError):  # others are not taken for them
        photos.images(np.arange(1, 1001))


def test_a_cache_that_cannot_be_written_does_not_end_the_training(
    cifar10: Any, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.parent.write_text("a file where a folder should be")
    cifar10.keep(np.zeros(3), cache / "cifar10" / "decoded.npy")
    assert capsys.readouterr().err.startswith("decoded images are not kept (")


@pytest.mark.parametrize("place", ["", "cifar10"])
def test_what_torchvision_leaves_behind_is_read(
    cifar10: Any, original: Path, tmp_path: Path, cache: Path, place: str
) -> None:
    (tmp_path / "mine" / place).mkdir(parents=True)
    original.rename(tmp_path / "mine" / place / original.name)
    train, val, test = cifar10.load(tmp_path / "mine", (1000, 1000, 1000), 32, False)
    assert [part[0].shape for part in (train, val, test)] == [(n, 32, 32, 3) for n in (90, 10, 20)]
    assert not cache.exists()
    batch = pickle.loads((tmp_path / "mine" / place / original.name / "test_batch").read_bytes())
    assert (test[0][7, 2, 5] == batch[b"data"][7].reshape(3, 32, 32)[:, 2, 5]).all()
    assert test[1].tolist() == batch[b"labels"]


def test_another_file_is_refused_before_it_is_read(cifar10: Any, original: Path) -> None:
    (original / "data_batch_2").write_bytes(b"not a pickle")
    with pytest.raises(DataUnavailable) as stopped:
        cifar10.load(original.parent, (1000, 1000, 1000), 32, False)
    assert str(stopped.value) == f"{original / 'data_batch_2'} is not CIFAR-10's: remove or replace it"


@pytest.fixture
def served(
    cifar10: Any, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """The archive on a server of this machine; what was asked of it."""
    asked: list[str] = []
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(original, original.name)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            asked.append(self.path)

    handler = partial(Handler, directory=str(archive.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(cifar10, "URL", f"http://127.0.0.1:{server.server_port}/{archive.name}")
        monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
        yield asked
        server.shutdown()
        thread.join()


def test_what_is_missing_is_fetched_once_into_the_cache(
    cifar10: Any, served: list[str], cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    for _ in range(2):
        assert len(cifar10.load(tmp_path / "mine", (1000, 1000, 1000), 32, False)[0][0]) == 90
    assert served == ["/cifar-10-python.tar.gz"]
    assert (cache / "cifar10" / "cifar-10-batches-py" / "test_batch").is_file()
    assert list((tmp_path / "mine").iterdir()) == []


def test_without_data_and_network_one_sentence_says_what_goes_where(
    cifar10: Any, original: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataUnavailable) as stopped:
        cifar10.load(tmp_path / "mine", (1000, 1000, 1000), 32, False)
    message = str(stopped.value)
    assert message.startswith(f"CIFAR-10 is not here ({cifar10.URL} cannot be fetched")
    assert "\n" not in message
    assert message.endswith(f"test_batch into {tmp_path / 'mine' / 'cifar-10-batches-py'}")


def test_the_script_ends_with_that_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = load_script(TASK)
    trial = SimpleNamespace(params=TASK.spec.fixed, data_dir=tmp_path, profile="quick")
    monkeypatch.setattr(script.tcs_hpt, "current_trial", lambda: trial)

    def missing(*_: Any) -> None:
        raise DataUnavailable("CIFAR-10 is not here")

    monkeypatch.setattr(script.cifar10, "load", missing)
    with pytest.raises(SystemExit, match="CIFAR-10 is not here"):
        script.main()


def test_a_pixel_of_a_shrunk_photo_is_the_mean_of_those_it_covers(cifar10: Any) -> None:
    photo = np.arange(32 * 32 * 3, dtype=np.uint16).reshape(1, 32, 32, 3) % 256
    photos = SimpleNamespace(labels=np.zeros(1), images=lambda rows: photo.astype(np.uint8)[rows])
    small = cifar10.some(photos, np.arange(1), 1, 16)[0]
    assert small.shape == (1, 16, 16, 3)
    assert small[0, 3, 5, 2] == photo[0, 6:8, 10:12, 2].mean().round()
