from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tcs_hpt.catalog import load_task
from tcs_hpt.data import DataUnavailable
from tcs_hpt.testing.tasks import TaskContract, prepared_data
from tests.tasks.resnet_checks import ResNetChecks, load_script

TASK = load_task("resnet_butterfly")


class TestResNetButterfly(TaskContract):
    task = "resnet_butterfly"
    test_score = "test_accuracy"
    needs = "butterfly"


class TestScript(ResNetChecks):
    task = "resnet_butterfly"
    weights = 11_214_987  # 11,689,512 for ImageNet's 1,000 classes
    lr_of_epochs = [0.1, 0.01, 0.001]
    further = {"val_worst_species_accuracy", "val_top5_accuracy"}


@pytest.fixture(scope="module")
def butterfly() -> Any:
    """The file with the data."""
    return load_script(TASK).butterfly


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


def fill(folder: Path) -> list[bytes]:
    """The files that Kaggle hands out, with 20 photos of 224 pixels of each of three species."""
    (folder / "train").mkdir(parents=True)
    random, photos = np.random.default_rng(0), []
    with (folder / "Training_set.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["filename", "label"])
        for number in range(60):
            name = f"Image_{number + 1}.jpg"
            rows.writerow([name, ("VICEROY", "ADONIS", "MONARCH")[number % 3]])
            patches = random.integers(0, 256, (7, 7, 3)).repeat(32, axis=0).repeat(32, axis=1)
            stream = io.BytesIO()
            Image.fromarray(patches.astype(np.uint8)).save(stream, "JPEG", quality=95)
            photos.append(stream.getvalue())
            (folder / "train" / name).write_bytes(photos[-1])
    return photos


def pack(path: Path, photos: list[bytes]) -> None:
    """The same photos in the form of a prepared folder."""
    path.parent.mkdir(parents=True)
    ends = np.cumsum([0] + [len(photo) for photo in photos])
    content = np.frombuffer(b"".join(photos), np.uint8)
    np.savez(path, jpeg=content, offsets=ends, labels=np.tile([2, 0, 1], 20).astype(np.uint8))


def test_the_split_never_changes_and_every_species_has_its_share(
    butterfly: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.random.default_rng(3).permutation(np.arange(6000) % 75)
    photos = SimpleNamespace(labels=labels, images=lambda rows: rows)
    monkeypatch.setattr(butterfly, "find", lambda *_: photos)
    whole = butterfly.load(None, 75, 112, False)
    assert [len(rows) for rows, _ in whole] == [4200, 900, 900]
    assert len(set().union(*(rows for rows, _ in whole))) == 6000
    assert [set(np.bincount(found)) for _, found in whole] == [{56}, {12}, {12}]
    for (rows, found), (of, _) in zip(butterfly.load(None, 25, 112, False), whole, strict=True):
        assert rows.tolist() == [row for row in of if labels[row] < 25]
        assert set(found) == set(range(25))


def test_the_prepared_photos_are_found(butterfly: Any, cache: Path) -> None:
    photos = butterfly.find(prepared_data("butterfly"), False)
    assert len(photos.labels) == 6499
    assert np.bincount(photos.labels).min() == 71
    parts = butterfly.load(prepared_data("butterfly"), 2, 56, False)
    assert all(images.shape == (len(labels), 56, 56, 3) for images, labels in parts)
    assert 50 < parts[0][0].mean() < 200
    assert not cache.exists()  # too few to be worth it


@pytest.mark.parametrize("place", ["butterfly", "butterfly-image-classification", ""])
def test_what_kaggle_hands_out_gives_what_a_prepared_folder_gives(
    butterfly: Any, tmp_path: Path, place: str
) -> None:
    photos = fill(tmp_path / "kaggle" / place)
    pack(tmp_path / "packed" / "butterfly" / butterfly.PACKED, photos)
    ones = butterfly.load(tmp_path / "kaggle", 3, 112, False)
    others = butterfly.load(tmp_path / "packed", 3, 112, False)
    for (images, labels), (packed, told), count in zip(ones, others, (14, 3, 3), strict=True):
        assert images.shape == (3 * count, 112, 112, 3)
        assert (images == packed).all()
        assert np.bincount(labels).tolist() == [count] * 3
        assert labels.tolist() == told.tolist()  # by the alphabet


def test_many_photos_are_decoded_once(
    butterfly: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = fill(tmp_path)[0]
    many = butterfly.decoded([photo] * 1000)
    assert [path.suffix for path in (cache / "butterfly").iterdir()] == [".npy"]
    monkeypatch.setattr(butterfly.Image, "open", None)
    assert (butterfly.decoded([photo] * 1000) == many).all()
    with pytest.raises(TypeError):  # others are not taken for them
        butterfly.decoded([photo] * 1001)


def test_a_cache_that_cannot_be_written_does_not_end_the_training(
    butterfly: Any, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.parent.write_text("a file where a folder should be")
    butterfly.keep(np.zeros(3), cache / "butterfly" / "decoded.npy")
    assert capsys.readouterr().err.startswith("decoded photos are not kept (")


def test_a_photo_that_is_listed_and_missing_is_named(butterfly: Any, tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "train" / "Image_7.jpg").unlink()
    with pytest.raises(DataUnavailable, match=r"Image_7\.jpg is missing; Training_set\.csv lists it$"):
        butterfly.load(tmp_path, 3, 112, False)


def test_without_data_one_sentence_says_how_to_get_it(butterfly: Any, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable) as stopped:
        butterfly.load(tmp_path / "mine", 75, 112, False)
    message = str(stopped.value)
    assert message.startswith(
        "Butterfly Image Classification is not here (Kaggle gives it to people with an account"
    )
    assert "\n" not in message
    assert message.endswith(f"the folder train/ into {tmp_path / 'mine' / 'butterfly'}")


def test_the_script_ends_with_that_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = load_script(TASK)
    trial = SimpleNamespace(params=TASK.spec.fixed, data_dir=tmp_path, profile="quick")
    monkeypatch.setattr(script.tcs_hpt, "current_trial", lambda: trial)
    with pytest.raises(SystemExit, match="Butterfly Image Classification is not here"):
        script.main()


def test_a_pixel_of_a_shrunk_photo_is_the_mean_of_those_it_covers(butterfly: Any) -> None:
    photo = (np.arange(112 * 112 * 3).reshape(1, 112, 112, 3) % 251).astype(np.uint8)
    small = butterfly.shrunk(photo, 28)
    assert small.shape == (1, 28, 28, 3)
    assert small[0, 3, 5, 2] == photo[0, 12:16, 20:24, 2].mean().round()
    assert butterfly.shrunk(photo, 112) is photo
