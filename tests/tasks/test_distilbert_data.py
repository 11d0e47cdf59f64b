"""The sentences that distilbert_sst2 learns from, and the vocabulary that is made of them."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.data import DataUnavailable
from tcs_hpt.testing.tasks import prepared_data
from tests.tasks.distilbert import loaded, offline


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with offline(tmp_path_factory.mktemp("cache")) as data:
        yield data


@pytest.fixture(scope="module")
def script(cache: Path) -> Iterator[Any]:
    with loaded() as module:
        yield module


@pytest.fixture
def sst2(script: Any) -> Any:
    """The module beside the script that finds the data."""
    return script.sst2


def write_table(
    path: Path, rows: list[tuple[Any, ...]], header: tuple[str, ...] = ("sentence", "label")
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def sentences(start: int, count: int) -> list[tuple[str, int]]:
    return [(f'a " film {number}', number % 2) for number in range(start, start + count)]


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """A data folder with SST-2 as GLUE has it: a space after every sentence, and a test part without labels."""
    folder = tmp_path / "glue" / "SST-2"
    train, dev = sentences(0, 30), sentences(100, 20)
    write_table(folder / "train.tsv", [(f"{text} ", label) for text, label in [*train, dev[0]]])
    write_table(folder / "dev.tsv", [(f"{text} ", label) for text, label in dev])
    write_table(folder / "test.tsv", [(0, "uneasy mishmash")], ("index", "sentence"))
    return tmp_path / "glue"


def test_the_prepared_data_keeps_its_official_parts(sst2: Any) -> None:
    parts = sst2.load(prepared_data("sst2"), 0, False)
    assert (len(parts["val"]), sum(label for _, label in parts["val"])) == (872, 444)
    assert (len(parts["test"]), sum(label for _, label in parts["test"])) == (1821, 909)
    assert len(parts["train"]) in range(67_300, 67_349)  # without what is in the test part too
    assert parts["train"][0] == ("hide new secretions from the parental units", 0)
    held_out = {text for part in ("val", "test") for text, _ in parts[part]}
    assert not held_out & {text for text, _ in parts["train"]}
    small = sst2.load(prepared_data("sst2"), 100, False)
    assert len(set(small["train"])) == 100
    assert set(small["train"]) <= set(parts["train"])
    assert small["train"] == sst2.load(prepared_data("sst2"), 100, False)["train"]
    assert (small["val"], small["test"]) == (parts["val"], parts["test"])


def test_without_labels_of_a_test_part_dev_is_halved(sst2: Any, glue: Path) -> None:
    parts = sst2.load(glue, 0, False)
    assert sorted(parts["train"]) == sorted(sentences(0, 30))  # not the one that is in dev too; no spaces
    assert sorted(parts["val"] + parts["test"]) == sorted(sentences(100, 20))
    assert [sum(label for _, label in parts[part]) for part in ("val", "test")] == [5, 5]
    assert parts == sst2.load(glue, 0, False)


def test_all_layouts_give_the_same_rows(sst2: Any, glue: Path, tmp_path: Path) -> None:
    expected = sst2.load(glue, 0, False)
    (tmp_path / "deep" / "glue_data").mkdir(parents=True)
    (glue / "SST-2").rename(tmp_path / "deep" / "glue_data" / "SST-2")
    assert sst2.load(tmp_path / "deep", 0, False) == expected
    for path in (tmp_path / "deep" / "glue_data" / "SST-2").iterdir():
        (tmp_path / "zipped" / "sst2").mkdir(parents=True, exist_ok=True)
        with gzip.open(tmp_path / "zipped" / "sst2" / f"{path.name}.gz", "wb") as file:
            file.write(path.read_bytes())
    assert sst2.load(tmp_path / "zipped", 0, False) == expected
    hub(tmp_path / "deep" / "glue_data" / "SST-2").save_to_disk(tmp_path / "saved" / "sst2")
    assert sst2.load(tmp_path / "saved", 0, False) == expected


def hub(folder: Path) -> Any:
    """The tables of a folder as the hub has them: -1 for a label that nobody tells."""
    datasets = pytest.importorskip("datasets")
    parts = {}
    for part, name in ("train", "train"), ("dev", "validation"), ("test", "test"):
        with (folder / f"{part}.tsv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        columns = {"idx": list(range(len(rows))), "sentence": [row["sentence"] for row in rows]}
        columns["label"] = [int(row.get("label", -1)) for row in rows]
        parts[name] = datasets.Dataset.from_dict(columns)
    return datasets.DatasetDict(parts)


def test_what_is_missing_is_fetched_once_into_the_cache(
    sst2: Any, glue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "fetched"))
    asked: list[str] = []

    def load_dataset(name: str) -> Any:
        asked.append(name)
        return hub(glue / "SST-2")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    expected = sst2.load(glue, 0, False)
    assert asked == []
    for _ in range(2):
        assert sst2.load(tmp_path / "mine", 0, False) == expected
    assert asked == ["stanfordnlp/sst2"]
    assert [p.name for p in (tmp_path / "fetched" / "data").iterdir()] == ["sst2"]  # nothing half-written
    assert not (tmp_path / "mine").exists()


def test_without_data_and_network_one_sentence_says_what_goes_where(sst2: Any, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(DataUnavailable) as raised:
        sst2.load(tmp_path, 0, False)
    message = str(raised.value)
    assert message.startswith("SST-2 is not here (stanfordnlp/sst2 cannot be read: ")
    assert message.endswith(f": put train.tsv, dev.tsv into {tmp_path / 'SST-2'}")
    assert "\n" not in message


def test_a_missing_datasets_is_named_with_the_command(
    sst2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataUnavailable, match=r"datasets.*: pip install 'tcs-hpt\[text\]' to fetch it\): put train"
    ):
        sst2.load(tmp_path, 0, False)


@pytest.mark.parametrize(
    "content", ["sentence\tlabel\ngood\tyes\n", "text\tlabel\ngood\t1\n", "sentence\tlabel\ngood\n"]
)
def test_another_table_is_refused_by_name(sst2: Any, glue: Path, content: str) -> None:
    broken = glue / "SST-2" / "dev.tsv"
    broken.write_text(content)
    with pytest.raises(DataUnavailable) as raised:
        sst2.load(glue, 0, False)
    assert str(raised.value).startswith(f"{broken} is not a table of SST-2 (")


@pytest.mark.parametrize("content", ["index\tsentence\n0\tgood\n", "sentence\tlabel\ngood\t2\nbad\t0\n"])
def test_parts_without_the_two_labels_are_refused(sst2: Any, glue: Path, content: str) -> None:
    (glue / "SST-2" / "dev.tsv").write_text(content)
    with pytest.raises(
        DataUnavailable, match=r"^train and dev of SST-2 in .*SST-2 are not labelled 0 and 1: "
    ):
        sst2.load(glue, 0, False)


def test_sentences_are_invented_only_where_allowed_and_where_there_are_none(sst2: Any, glue: Path) -> None:
    made = sst2.load(None, 0, True)
    assert made == sst2.load(None, 0, True)
    assert [len(made[part]) for part in ("train", "val", "test")] == [600, 200, 200]
    assert all(("good" in text, "bad" in text) == (label == 1, label == 0) for text, label in made["val"])
    assert sst2.load(glue, 0, True) == sst2.load(glue, 0, False)


# -- vocabulary ---------------------------------------------------------------------------------------------


def test_a_vocabulary_is_trained_once_and_the_same_every_time(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{a}{b}{c} {c}{a}" for a in "abcdé" for b in "xyz" for c in "mnopqr"] * 2
    found = []
    for name in "one", "two", "three":
        monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / name))
        found.append(script.vocabulary(texts, 60))
    assert found[0] == found[1] == found[2]
    vocabulary = found[0]
    assert len(vocabulary) == 60
    assert list(vocabulary)[:5] == script.SPECIAL_TOKENS
    assert list(vocabulary.values()) == list(range(60))
    (kept,) = (tmp_path / "three" / "data" / "distilbert_sst2").iterdir()

    monkeypatch.delattr(script.BertWordPieceTokenizer, "train_from_iterator")
    assert script.vocabulary(texts, 60) == vocabulary  # from the cache
    kept.write_text(kept.read_text().replace("[MASK]", "[SEEN]"))
    assert "[SEEN]" in script.vocabulary(texts, 60)
    for other in (texts[1:], 60), (texts, 59):
        with pytest.raises(AttributeError):  # other sentences and sizes are another vocabulary
            script.vocabulary(*other)


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "file"))
    assert "good" in script.vocabulary(["good film", "good good"], 40)
