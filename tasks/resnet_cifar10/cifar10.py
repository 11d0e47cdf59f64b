"""CIFAR-10 as arrays: found, fetched or, for tests, made up; split and, if asked, shrunk."""

import contextlib
import hashlib
import io
import os
import pickle
import sys

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from tcs_hpt import data

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
BATCHES = {  # the files in it that are read, and their MD5, as torchvision lists it
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
PACKED = ("cifar10_train_jpeg.npz", "cifar10_test_jpeg.npz")


def load(data_dir, sizes, image_size, may_make_up):
    """Train, validation and test images [n, size, size, 3] with their labels. The split never changes.

    Args:
        data_dir: The user's data folder, or None.
        sizes: How many of the 45,000, 5,000 and 10,000 images, at most.
        image_size: Pixels; 32 divided by a whole number.
        may_make_up: Whether made up images will do when the real ones are not here.
    """
    learn, test = find(data_dir, may_make_up)
    rows = np.arange(len(learn.labels))
    train, val = train_test_split(rows, test_size=0.1, stratify=learn.labels, random_state=0)
    parts = (learn, train), (learn, val), (test, np.arange(len(test.labels)))
    return [some(*part, count, image_size) for part, count in zip(parts, sizes, strict=True)]


def some(photos, rows, count, size):
    """At most `count` of the rows, with every class in its share."""
    if count < len(rows):
        rows = train_test_split(rows, train_size=count, stratify=photos.labels[rows], random_state=0)[0]
    images = photos.images(rows)
    if size != 32:  # a pixel is the mean of those it covers
        covered = images.reshape(-1, size, 32 // size, size, 32 // size, 3)
        images = covered.mean(axis=(2, 4)).round().astype(np.uint8)
    return images, photos.labels[rows]


def find(data_dir, may_make_up):
    """The photos to learn from and those to test with."""
    folder = data.locate(data_dir, "cifar10", files=PACKED)
    if folder:
        return [Jpegs(folder / name) for name in PACKED]
    folder = data.locate(data_dir, "cifar-10-batches-py", "cifar10/cifar-10-batches-py", files=BATCHES)
    if folder is None and may_make_up:
        return MadeUp(1000, 0), MadeUp(500, 1)
    try:
        folder = folder or data.fetch(URL, SHA256, into="cifar10", unpack="tar") / "cifar-10-batches-py"
    except data.DataUnavailable as error:
        place = "cifar-10-batches-py"
        raise data.missing("CIFAR-10", BATCHES, place, data_dir, why=str(error)) from error
    return Batches(folder, list(BATCHES)[:5]), Batches(folder, list(BATCHES)[5:])


class Batches:
    """Photos in the original files."""

    def __init__(self, folder, names):
        found = [self._read(folder / name) for name in names]
        self.labels = np.concatenate([batch[b"labels"] for batch in found])
        planes = np.concatenate([batch[b"data"] for batch in found])
        self._images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    def _read(self, path):
        content = path.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != BATCHES[path.name]:
            # A pickle can run code, so another one is not read.
            raise data.DataUnavailable(f"{path} is not CIFAR-10's: remove or replace it")
        return pickle.loads(content, encoding="bytes")

    def images(self, rows):
        """The photos [n, 32, 32, 3] in these rows."""
        return np.ascontiguousarray(self._images[rows])


class Jpegs:
    """Photos in a file of JPEGs."""

    def __init__(self, path):
        with np.load(path) as file:
            self._content, self._offsets = file["jpeg"].tobytes(), file["offsets"]
            self.labels = file["labels"].astype(int)

    def images(self, rows):
        """The photos [n, 32, 32, 3] in these rows."""
        return decoded([self._content[self._offsets[row] : self._offsets[row + 1]] for row in rows])


def decoded(jpegs):
    """The photos [n, 32, 32, 3]. To decode all 60,000 takes ten seconds, so many of them are kept in the cache."""
    name = hashlib.sha256(b"".join(jpegs)).hexdigest()[:16]
    kept = data.cache_folder() / "cifar10" / f"decoded_{name}.npy"
    if kept.is_file():
        return np.load(kept)
    images = np.stack([np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs])
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
        print(f"decoded images are not kept ({error})", file=sys.stderr)
        with contextlib.suppress(OSError):
            partial.unlink()


class MadeUp:
    """Coloured patches under noise, in the form of the photos; the patches tell the class."""

    def __init__(self, count, seed):
        patches = np.random.default_rng(0).integers(0, 128, (10, 4, 4, 3), dtype=np.uint8)
        noise = np.random.default_rng(seed).integers(0, 128, (count, 32, 32, 3), dtype=np.uint8)
        self.labels = np.arange(count) % 10
        self._images = patches.repeat(8, axis=1).repeat(8, axis=2)[self.labels] + noise

    def images(self, rows):
        """Those [n, 32, 32, 3] in these rows."""
        return self._images[rows]
