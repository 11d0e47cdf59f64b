from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.execution.epochs import EpochBuilder, epoch_number, number_of
from tcs_hpt.execution.logs import Log
from tcs_hpt.execution.readers import MetricsReader, open_reader
from tcs_hpt.execution.tail import LineBuffer
from tcs_hpt.records import EpochRecord
from tcs_hpt.spec import Objective
from tests.execution.fake_scripts import make_job

BEST = Objective(metric="m", direction="maximize")
PATTERNS = (r"epoch (?P<epoch>\S+)", r"\bm=(?P<m>\S+)", r"\bt=(?P<t>\S+)")


def reader_of(tmp_path: Path, log: Log | None = None, **metrics: Any) -> MetricsReader:
    job = make_job(tmp_path, "", metrics=metrics, objective={"metric": "m", "direction": "maximize"})
    job.folder.mkdir(parents=True, exist_ok=True)
    return open_reader(job, log, None)


def file_of(tmp_path: Path, name: str) -> Path:
    return tmp_path / "trials" / "3" / name


def short(epochs: list[EpochRecord]) -> list[tuple[int, dict[str, float | None]]]:
    return [(e.epoch, e.metrics) for e in epochs]


def printed(tmp_path: Path, text: str, *patterns: str) -> MetricsReader:
    path = tmp_path / "log"
    path.write_bytes(text.encode())
    log = Log(path, 2**20, fresh=False)
    reader = reader_of(tmp_path, log, source="stdout", format="pattern", patterns=patterns or PATTERNS)
    told = list(reader.finish())
    log.close()
    assert told == reader.epochs
    return reader


MERGED: dict[str, tuple[str, list[tuple[int, dict[str, float | None]]]]] = {
    "one line each": ("epoch 1 m=1\nepoch 2 m=2", [(1, {"m": 1}), (2, {"m": 2})]),
    "several lines of an epoch": (
        "epoch 1 t=5\nepoch 1 m=1\nepoch 2 t=4\nm=2",
        [(1, {"t": 5, "m": 1}), (2, {"t": 4, "m": 2})],
    ),
    "a headline": ("epoch 0\nt=5\nm=1\nepoch 1\nt=4\nm=2", [(0, {"t": 5, "m": 1}), (1, {"t": 4, "m": 2})]),
    "the number below": ("m=1\nepoch 1 t=5\nm=2\nepoch 2 t=4", [(1, {"m": 1, "t": 5}), (2, {"m": 2, "t": 4})]),
    "no number": ("t=5\nm=1\nt=4\nm=2\nm=3", [(1, {"t": 5, "m": 1}), (2, {"t": 4, "m": 2}), (3, {"m": 3})]),
    "one at the end": ("loading\nm=0.5\nbye", [(1, {"m": 0.5})]),
    "the newest of an epoch": ("epoch 1 m=1\nepoch 1 m=2\nepoch 2 m=3", [(1, {"m": 2}), (2, {"m": 3})]),
    "a progress bar without a number": ("\rm=1\rm=2\rm=3\n\rm=4\rm=5\n", [(1, {"m": 3}), (2, {"m": 5})]),
    "the lines of Windows": ("m=1\r\nm=2\r\n", [(1, {"m": 1}), (2, {"m": 2})]),
    "half epochs": ("epoch 0.5 t=1\nepoch 1.0 m=1\nepoch 1.5 t=2\nepoch 2.0 m=2", [(1, {"t": 1, "m": 1}), (2, {"t": 2, "m": 2})]),
    "no number at all": ("epoch one m=1\nm=good\nepoch 2 m=2", [(2, {"m": 2})]),
    "starts again": ("epoch 1 m=1\nepoch 2 m=2\nepoch 1 m=3", [(1, {"m": 1}), (2, {"m": 2}), (1, {"m": 3})]),
    "percent": ("epoch 1 m=93.5%", [(1, {"m": 93.5})]),
    "not finite": ("m=nan\nm=-inf\nm=NA", [(1, {"m": None}), (2, {"m": None}), (3, {"m": None})]),
    "only headlines": ("epoch 1\nepoch 2\n", []),
    "an empty output": ("", []),
}  # fmt: skip


@pytest.mark.parametrize("name", MERGED)
def test_numbers_of_one_epoch_are_merged(tmp_path: Path, name: str) -> None:
    text, epochs = MERGED[name]
    assert short(printed(tmp_path, text).epochs) == epochs


def test_colours_links_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    text = "\x1b]8;;http://x\x07epoch\x1b]8;;\x1b\\ 1 \x1b[38;5;2mm\x1b[0m=\x1b[1m0.5\x1b[0m"
    assert short(printed(tmp_path, text).epochs) == [(1, {"m": 0.5})]
    (tmp_path / "log").write_bytes(b"\xff\xfe m=0.25 \x00\n")
    log = Log(tmp_path / "log", 1000, fresh=False)
    reader = reader_of(tmp_path, log, source="stdout", format="pattern", patterns=PATTERNS)
    assert short(list(reader.finish())) == [(1, {"m": 0.25})]
    log.close()


def test_a_pattern_sees_the_beginning_of_a_long_line_only(tmp_path: Path) -> None:
    text = "x" * 500_000 + " m=1\nm=2\n" + "y" * 3_000_000 + " m=3\nm=4\n"
    assert short(printed(tmp_path, text).epochs) == [(1, {"m": 2}), (2, {"m": 4})]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 0.001), (" 5 % ", 5.0), ("NULL", math.nan), ("inf", math.inf), ("1_000", None), ("0.5,", None)],
)
def test_numbers_as_scripts_write_them(text: str, number: float | None) -> None:
    assert repr(number_of(text)) == repr(number)  # NaN is not equal to itself


@pytest.mark.parametrize(
    ("value", "number"), [("3", 3), (3.0, 3), (2.01, 3), (0, 0), ("-1", None), ("nan", None), (2**31, None), (True, None)]
)  # fmt: skip
def test_numbers_of_epochs(value: object, number: int | None) -> None:
    assert epoch_number(value) == number


def test_of_thousands_of_epochs_some_are_kept_and_the_best_is_known() -> None:
    builder = EpochBuilder(BEST, "best")
    for i in range(1, 20_001):
        builder.add({"m": 1.0 if i == 15_001 else 0.5}, i)
    builder.finish()
    numbers = [e.epoch for e in builder.epochs]
    assert numbers[:1000] == list(range(1, 1001))
    assert 3000 < len(numbers) < 6000
    assert numbers[-1] == 20_000
    assert builder.deciding is not None
    assert builder.deciding.epoch == 15_001


def test_many_metrics_are_cut_but_not_the_objective() -> None:
    builder = EpochBuilder(BEST, "last")
    builder.add({f"x{i}": 1.0 for i in range(1000)} | {"not a name": 1.0, "m": 0.5})
    builder.finish()
    assert len(builder.epochs[0].metrics) == 257
    assert builder.epochs[0].metrics["m"] == 0.5


@given(st.text("ab\r\n", max_size=40), st.lists(st.integers(1, 5), max_size=20))
def test_lines_do_not_depend_on_the_pieces_that_they_are_read_in(text: str, pieces: list[int]) -> None:
    data = text.encode()
    whole = LineBuffer()
    expected = whole.feed(data) + whole.finish()
    parts, found = LineBuffer(), []
    for size in pieces:
        found += parts.feed(data[:size])
        data = data[size:]
    assert found + parts.feed(data) + parts.finish() == expected
    assert [line.text.decode() for line in expected if line.text] == [t for t in text.replace("\r", "\n").split("\n") if t]  # fmt: skip


TABLES: dict[str, tuple[str, list[tuple[int, dict[str, float | None]]]]] = {
    "semicolons": ("epoch;m\n1;0.5\n2;0.6\n", [(1, {"m": 0.5}), (2, {"m": 0.6})]),
    "tabs and an empty first cell": ("x\tepoch\tm\n\t1\t0.5\n", [(1, {"m": 0.5})]),
    "names of rows as R writes them": ('"epoch","m"\n"1",4,0.5\n"2",5,NA\n', [(4, {"m": 0.5}), (5, {"m": None})]),
    "no epochs": ("m\n1\n2\n", [(1, {"m": 1}), (2, {"m": 2})]),
    "validation in a row of its own": ("epoch,t,m\n0,5,\n0,,1\n1,4,\n1,,2", [(0, {"t": 5, "m": 1}), (1, {"t": 4, "m": 2})]),
    "the headline again": ("epoch,m\n1,1\nepoch,m\n1,2\n", [(1, {"m": 2})]),
    "text and quotes": ('epoch,note,m\n1,"a,b",1\n2,"""",2\n', [(1, {"m": 1}), (2, {"m": 2})]),
    "a mark of the byte order": ("\ufeffm,epoch\r\n1,1\r\n", [(1, {"m": 1})]),
    "a broken row": ("epoch,m\n1,1\n2,2,3,4\nx\n3,3\n", [(1, {"m": 1}), (2, {"m": 2}), (3, {"m": 3})]),
    "only a headline": ("epoch,m\n", []),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path: Path, name: str) -> None:
    text, epochs = TABLES[name]
    reader = reader_of(tmp_path, source="log.csv", format="csv")
    file_of(tmp_path, "log.csv").write_bytes(text.encode())
    assert short(list(reader.finish())) == epochs


def test_a_table_that_gets_another_column_is_read_on_with(tmp_path: Path) -> None:
    path = file_of(tmp_path, "log.csv")
    reader = reader_of(tmp_path, source="log.csv", format="csv")
    path.write_text("epoch,t\n0,5\n1,4\n")
    assert short(reader.read()) == [(0, {"t": 5})]
    path.write_text(
        "epoch,t,m\n0,5,\n1,4,\n1,,0.5\n2,3,"
    )  # as Lightning does it; the last row is half written
    assert reader.read() == []
    path.write_text("epoch,t,m\n0,5,\n1,4,\n1,,0.5\n2,3,\n2,,0.7\n")
    assert short(reader.read()) == [(1, {"t": 4, "m": 0.5})]
    assert short(list(reader.finish())) == [(2, {"t": 3, "m": 0.7})]


def test_a_table_that_is_written_anew_for_each_epoch_is_read_once(tmp_path: Path) -> None:
    path = file_of(tmp_path, "log.csv")
    reader = reader_of(tmp_path, source="log.csv", format="csv")
    rows = ["m,epoch"]
    for epoch in range(1, 30):
        rows.append(f"0.{epoch},{epoch}")
        path.write_text("")
        reader.read()
        path.write_text("\n".join(rows[:-1]) + "\n" + rows[-1][:2])  # in the middle of writing
        reader.read()
        path.write_text("\n".join(rows) + "\n")
        reader.read()
    list(reader.finish())
    assert [e.epoch for e in reader.epochs] == list(range(1, 30))


def test_a_file_replaced_by_another_is_followed(tmp_path: Path) -> None:
    path = file_of(tmp_path, "log.jsonl")
    reader = reader_of(tmp_path, source="log.jsonl", format="jsonl")
    lines = ""
    for epoch in (1, 2, 3):
        lines += json.dumps({"epoch": epoch, "m": epoch}) + "\n"
        path.with_suffix(".tmp").write_text(lines)
        os.replace(path.with_suffix(".tmp"), path)
        reader.read()
    list(reader.finish())
    assert [e.epoch for e in reader.epochs] == [1, 2, 3]


DOCUMENTS: dict[str, tuple[object, list[tuple[int, dict[str, float | None]]]]] = {
    "numbers": ({"m": 0.5, "t": 1, "model": "x"}, [(1, {"t": 1, "m": 0.5})]),
    "a path": ({"eval": {"best": [{"acc": 1}, {"acc": 2}]}, "t": 1}, [(1, {"t": 1, "m": 2})]),
    "a history of lists": ({"m": [1, 2, None], "t": [5, 4, 3], "lr": 1}, [(1, {"m": 1, "t": 5}), (2, {"m": 2, "t": 4}), (3, {"m": None, "t": 3})]),
    "a score beside other lists": ({"m": 0.5, "t": [5, 4, 3]}, [(1, {"m": 0.5})]),
    "a list of epochs": ([{"epoch": 0, "m": 1}, {"epoch": 1, "m": 2}, "x"], [(0, {"m": 1}), (1, {"m": 2})]),
    "an empty list": ([], []),
    "a number": (3, []),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(tmp_path: Path, name: str) -> None:
    document, epochs = DOCUMENTS[name]
    names = {"m": "eval.best.-1.acc"} if name == "a path" else {}
    reader = reader_of(tmp_path, source="r.json", format="json", names=names)
    file_of(tmp_path, "r.json").write_text(json.dumps(document))
    assert [(e.epoch, dict(sorted(e.metrics.items()))) for e in reader.finish()] == [
        (n, dict(sorted(m.items()))) for n, m in epochs
    ]


def test_a_document_that_is_written_again_after_each_epoch(tmp_path: Path) -> None:
    path = file_of(tmp_path, "r.json")
    reader = reader_of(tmp_path, source="r.json", format="json")
    told = []
    for epoch in (1, 2, 3):
        path.write_text('{"epoch": ')
        told += reader.read()
        path.write_text(json.dumps({"epoch": epoch, "m": epoch / 10}))
        told += reader.read() + reader.read()
    assert [e.epoch for e in told] == [1, 2]
    assert [e.epoch for e in reader.finish()] == [3]
    assert reader.deciding == reader.epochs[-1]


def test_a_history_that_grows(tmp_path: Path) -> None:
    path = file_of(tmp_path, "r.json")
    reader = reader_of(tmp_path, source="r.json", format="json")
    for count in (1, 2, 2, 4):
        path.write_text(json.dumps({"m": list(range(count)), "t": list(range(count))}) + " " * count)
        reader.read()
    list(reader.finish())
    assert [(e.epoch, e.metrics["m"]) for e in reader.epochs] == [(1, 0), (2, 1), (3, 2), (4, 3)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read as JSON"),
        ('{"acc": 1, "loss": 2}', "has no number at 'm'; it has acc, loss"),
        ("[]", "nothing of the kind was in it"),
        (None, "the script has not written r.json"),
    ],
)
def test_what_a_document_lacks(tmp_path: Path, content: str | None, words: str) -> None:
    reader = reader_of(tmp_path, source="r.json", format="json")
    if content is not None:
        file_of(tmp_path, "r.json").write_text(content)
    list(reader.finish())
    assert reader.deciding is None
    assert words in reader.missing()


def test_a_file_that_blocks_or_is_a_folder_is_not_read(tmp_path: Path) -> None:
    for make in (os.mkfifo, os.mkdir):
        reader = reader_of(tmp_path, source="log.csv", format="csv")
        make(file_of(tmp_path, "log.csv"))
        assert list(reader.finish()) == []
        assert "has not written log.csv" in reader.missing()
        (os.unlink if make is os.mkfifo else os.rmdir)(file_of(tmp_path, "log.csv"))


def test_lines_that_the_log_lost_are_left_out_and_no_half_line_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path, 1000)
    reader = reader_of(tmp_path, log, source="stdout", format="pattern", patterns=PATTERNS)
    path.write_bytes(b"epoch 1 m=0.1\nepoch 2 m=0.2")
    reader.read()
    with path.open("ab") as file:  # more than anybody waits for
        file.write(b"5\n" + b"".join(b"epoch %d m=0.%d5\n" % (i, i) for i in range(3, 2000)))
    log.trim()
    assert log.lost > 0
    with path.open("ab") as file:
        file.write(b"epoch 2000 m=0.9\n")
    list(reader.finish())
    log.close()
    assert short(reader.epochs)[0] == (1, {"m": 0.1})
    assert short(reader.epochs)[-1] == (2000, {"m": 0.9})
    assert all(e.metrics == {"m": float(f"0.{e.epoch}5")} for e in reader.epochs[1:-1])


def test_a_log_that_is_read_is_cut_only_where_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path, 1000)
    read, written = b"", b""
    for i in range(3000):
        line = f"line {i}\n".encode()
        written += line
        with path.open("ab") as file:
            file.write(line)
        read += log.read_on(7 if i % 3 else 30)
        log.trim()
    while more := log.read_on(100):
        read += more
    log.close()
    assert log.lost == 0
    assert read == written
    assert path.stat().st_size < 2000
