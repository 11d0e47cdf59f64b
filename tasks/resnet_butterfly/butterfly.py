"""Photos of butterflies as arrays: found or, for tests, made up; split and, if asked, shrunk."""

import contextlib
import csv
import hashlib
import io
import os
import sys

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from tcs_hpt import data

SIZE = 112
"""Pixels of a photo."""
PACKED = "butterfly75_112px_jpeg.npz"
KAGGLE = ("Training_set.csv", "train/Image_1.jpg")
HOW = "Kaggle gives it to people with an account: kaggle datasets download --unzip phucthaiv02/butterfly-image-classification"


def load(data_dir, species, image_size, may_make_up):
    """Train, validation and test photos [n, size, size, 3] with their labels, of the first `species` by name.

    The split, 70, 15 and 15 in 100 of every species, never changes.

    Args:
        data_dir: The user's data folder, or None.
        species: How many of the 75.
        image_size: Pixels; 112 divided by a whole number.
        may_make_up: Whether made up images will do when the photos are not here.
    """
    photos = find(data_dir, may_make_up)
    rows = np.arange(len(photos.labels))
    train, rest = train_test_split(rows, test_size=0.3, stratify=photos.labels, random_state=0)
    val, test = train_test_split(rest, test_size=0.5, stratify=photos.labels[rest], random_state=0)
    chosen = [part[photos.labels[part] < species] for part in (train, val, test)]
    return [(shrunk(photos.images(part), image_size), photos.labels[part]) for part in chosen]


def shrunk(images, size):
    """Images in which each pixel is the mean of those it covers."""
    if size == SIZE:
        return images
    covered = images.reshape(-1, size, SIZE // size, size, SIZE // size, 3)
    return covered.mean(axis=(2, 4), dtype=np.float32).round().astype(np.uint8)


def find(data_dir, may_make_up):
    """The photos that are here."""
    folder = data.locate(data_dir, "butterfly", files=[PACKED])
    if folder:
        return Packed(folder / PACKED)
    folder = data.locate(data_dir, "butterfly", "butterfly-image-classification", "", files=KAGGLE)
    if folder:
        return Kaggle(folder)
    if may_make_up:
        return MadeUp()
    files = ("Training_set.csv", "the folder train/")
    raise data.missing("Butterfly Image Classification", files, "butterfly", data_dir, why=HOW)


class Packed:
    """Photos in one file of JPEGs, in the order of Kaggle's list."""

    def __init__(self, path):
        with np.load(path) as file:
            self._content, self._offsets = file["jpeg"].tobytes(), file["offsets"]
            self.labels = file["labels"].astype(int)

    def images(self, rows):
        """The photos [n, 112, 112, 3] in these rows."""
        return decoded([self._content[self._offsets[row] : self._offsets[row + 1]] for row in rows])


class Kaggle:
    """Photos in the files that Kaggle hands out, of 224 pixels."""

    def __init__(self, folder):
        with (folder / "Training_set.csv").open(newline="", encoding="utf-8") as file:
            listed = list(csv.DictReader(file))
        self._paths = [folder / "train" / photo["filename"] for photo in listed]
        self.labels = np.unique([photo["label"] for photo in listed], return_inverse=True)[1]

    def images(self, rows):
        """The photos [n, 112, 112, 3] in these rows."""
        try:
            return decoded([self._paths[row].read_bytes() for row in rows])
        except FileNotFoundError as error:
            raise data.DataUnavailable(f"{error.filename} is missing; Training_set.csv lists it") from error


def decoded(jpegs):
    """The photos [n, 112, 112, 3]. To decode all takes half a minute, so many of them are kept in the cache."""
    name = hashlib.sha256(b"".join(jpegs)).hexdigest()[:16]
    kept = data.cache_folder() / "butterfly" / f"decoded_{name}.npy"
    if kept.is_file():
        return np.load(kept)
    opened = (Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in jpegs)
    images = np.stack([np.asarray(photo.resize((SIZE, SIZE), Image.Resampling.LANCZOS)) for photo in opened])
    if len(images) >= 1000:
        keep(images, kept)
    return images


def keep(images, path):
    """Write a file, whole or not at all. A full disk does not end the training."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, images)
        os.replace(partial, path)
    except OSError as error:
        print(f"decoded photos are not kept ({error})", file=sys.stderr)
        with contextlib.suppress(OSError):
            partial.unlink()


class MadeUp:
    """Coloured patches under noise, in the form of the photos; the patches tell the species, of which there are 6."""

    def __init__(self):
        random = np.random.default_rng(0)
        self.labels = np.arange(480) % 6
        patches = random.integers(0, 128, (6, 7, 7, 3), dtype=np.uint8).repeat(16, axis=1).repeat(16, axis=2)
        noise = random.integers(0, 128, (480, SIZE, SIZE, 3), dtype=np.uint8)
        self._photos = patches[self.labels] + noise

    def images(self, rows):
        """Those [n, 112, 112, 3] in these rows."""
        return self._photos[rows]
