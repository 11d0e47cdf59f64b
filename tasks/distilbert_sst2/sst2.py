"""Where SST-2 is found, and how it is split: sentences of film reviews with labels, 1 for positive ones."""

import contextlib
import csv
import gzip
import os
import random
import tempfile

from sklearn.model_selection import train_test_split

from tcs_hpt import data
from tcs_hpt.data import DataUnavailable

HUB_NAME = "stanfordnlp/sst2"
PLACES = ("sst2", "SST-2", "glue_data/SST-2")


def read_table(path):
    """Rows (sentence, label) of a tab-separated file; none when it has no labels, as GLUE's test.tsv."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return [(row["sentence"].strip(), int(row["label"])) for row in rows if "label" in row]
    except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise DataUnavailable(f"{path} is not a table of SST-2 ({error!r}): remove or replace it") from error


def read_hub(folder, data_dir):
    """Rows by part, from a folder that `save_to_disk` wrote; without one, from the Hugging Face hub into the cache."""
    try:
        import datasets

        found = datasets.load_from_disk(folder) if folder else fetch()
        parts = {"train": found["train"], "dev": found["validation"], "test": found["test"]}
    except ModuleNotFoundError as error:
        raise missing(data_dir, f"{error}: pip install 'tcs-hpt[text]' to fetch it") from error
    except (OSError, KeyError, ValueError, datasets.exceptions.DatasetsError) as error:  # no network, mostly
        why = f"{folder or HUB_NAME} cannot be read: {' '.join(str(error).split())}"
        raise missing(data_dir, why) from error
    rows = {part: zip(table["sentence"], table["label"], strict=True) for part, table in parts.items()}
    return {part: [(text.strip(), label) for text, label in rows[part] if label >= 0] for part in rows}


def fetch():
    """SST-2 from the hub, kept in the cache, so that the next trial needs no network."""
    import datasets

    found = datasets.load_dataset(HUB_NAME)
    with contextlib.suppress(OSError):  # no room, or another trial was faster
        data.cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data.cache_folder()) as partial:
            found.save_to_disk(f"{partial}/sst2")
            os.rename(f"{partial}/sst2", data.cache_folder() / "sst2")
    return found


def missing(data_dir, why):
    """The sentence for a machine without SST-2."""
    return data.missing("SST-2", ["train.tsv", "dev.tsv"], "SST-2", data_dir, why=why)


def make_up():
    """A few sentences of invented words, some of them good and some bad; for tests where SST-2 is not."""
    rng = random.Random(0)
    words = {kind: [f"{kind}{number}" for number in range(20)] for kind in ("good", "bad", "word")}
    parts = {}
    for part, size in ("train", 600), ("dev", 200), ("test", 200):
        labels = [number % 2 for number in range(size)]
        texts = [
            rng.choices(words["word"], k=6) + rng.choices(words["good" if y else "bad"], k=2) for y in labels
        ]
        parts[part] = [(" ".join(rng.sample(text, k=8)), y) for text, y in zip(texts, labels, strict=True)]
    return parts


def load(data_dir, max_train, may_make_up):
    """Rows (sentence, label) by part: train, val and test. The split never changes, whatever the seed.

    Training rows are phrases cut out of sentences, so that a part held out from them would hold what was trained on.
    Validation is therefore the official dev part, and test the official test part. Where that has no labels
    (GLUE, hub), dev is halved into the two.
    """
    for ending in ".tsv.gz", ".tsv":
        folder = data.locate(data_dir, *PLACES, files=[f"train{ending}", f"dev{ending}"])
        if folder:
            files = {part: folder / f"{part}{ending}" for part in ("train", "dev", "test")}
            found = {part: read_table(path) for part, path in files.items() if path.is_file()}
            break
    else:
        folder = data.locate(data_dir, *PLACES, files=["dataset_dict.json"])
        found = make_up() if may_make_up and not folder else read_hub(folder, data_dir)
    if any({label for _, label in found[part]} != {0, 1} for part in ("train", "dev")):
        raise DataUnavailable(
            f"train and dev of SST-2 in {folder} are not labelled 0 and 1: remove or replace them"
        )
    val, test = found["dev"], found.get("test")
    if not test:
        val, test = train_test_split(val, test_size=0.5, stratify=[label for _, label in val], random_state=0)
    held_out = {sentence for sentence, _ in [*val, *test]}
    train = [row for row in found["train"] if row[0] not in held_out]
    if 0 < max_train < len(train):
        train = random.Random(0).sample(train, max_train)
    return {"train": train, "val": val, "test": test}
