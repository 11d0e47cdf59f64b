"""The development bench's single choices: equal situations, coins without drawing, and the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.dev import studies
from benchmarks.dev.choices import COINS, FILE, HINDSIGHT, ChoiceRow, main, markdown, read
from tcs_hpt.errors import UserError
from tcs_hpt.llm import opening


def choice(method: str, position: int, regret: float, seed: int = 0, **more: object) -> ChoiceRow:
    return ChoiceRow.model_validate(
        {
            "problem": "car",
            "seed": seed,
            "position": position,
            "method": method,
            "regret": regret,
            "gain": 0.0,
            **more,
        }
    )


def asked(folder: Path, *more: str) -> list[ChoiceRow]:
    command = ["run", "--problems", "car,slice", "--seeds", "1", "--positions", "2,5", "--jobs", "1"]
    assert main([*command, "--model", "scripted:first", "--out", str(folder), *more]) == 0
    return read(folder)


def test_everybody_decides_in_the_same_situations(tmp_path: Path) -> None:
    rows = asked(tmp_path, "--methods", "expert,tcs,raw")
    situations = {(r.problem, r.position) for r in rows}
    assert situations == {("car", 2), ("car", 5), ("slice", 2), ("slice", 5)}
    by_method = {
        m: {(r.problem, r.position): r for r in rows if r.method == m} for m in {r.method for r in rows}
    }
    assert {m: len(found) for m, found in by_method.items()} == dict.fromkeys(by_method, 4)
    assert set(by_method) == {*COINS, HINDSIGHT, "expert", "tcs (scripted:first)", "raw (scripted:first)"}
    assert {r.place for r in by_method["expert"].values()} == {1}
    assert {r.options for r in by_method["coin"].values()} == {3}
    assert {r.options for r in by_method["coin:raw"].values()} == {8}
    assert all(r.gain >= 0 for r in rows)
    for key, best in by_method[HINDSIGHT].items():
        assert best.regret <= min(
            by_method[m][key].regret for m in ("coin", "expert", "tcs (scripted:first)")
        )
    assert all(r.read_tokens > 100 and not r.fallback for r in by_method["tcs (scripted:first)"].values())


def test_a_coin_is_the_average_of_what_could_be_chosen(tmp_path: Path) -> None:
    """The scripted model takes the first of a shuffled list, so over many lists it is a coin with noise."""
    rows = asked(
        tmp_path, "--methods", "tcs", "--positions", "2,3,4,5,6,7,8,9", "--seeds", "4", "--problems", "car"
    )
    means = {m: [r.regret for r in rows if r.method == m] for m in ("coin", "tcs (scripted:first)")}
    mean, drawn = (sum(found) / len(found) for found in means.values())
    assert len(means["coin"]) == 32
    assert drawn == pytest.approx(mean, abs=0.05)
    assert means["coin"] != means["tcs (scripted:first)"]


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = asked(tmp_path, "--methods", "expert")
    assert asked(tmp_path, "--methods", "expert") == first
    with (tmp_path / FILE).open("a", encoding="utf-8") as file:
        file.write('{"problem": "ca')  # a run was killed here
    more = asked(tmp_path, "--methods", "expert,tcs")
    assert more[: len(first)] == first
    assert {r.method for r in more[len(first) :]} == {"tcs (scripted:first)"}


def test_the_table_pairs_what_all_have() -> None:
    rows = [
        *(choice("coin", p, 0.5, seed, options=3) for p in (2, 3) for seed in range(8)),
        *(
            choice("good", p, 0.3, seed, place=1, read_tokens=900, written_tokens=90)
            for p in (2, 3)
            for seed in range(8)
        ),
        choice("good", 4, 2.0),
    ]
    text = markdown(rows, "coin")
    assert text.startswith("16 situations of 8 studies on 1 problems.")
    good, coin = text.splitlines()[-2:]
    assert good.startswith("| `good` | 0.300 | -0.200 (-0.200 to -0.200) | 0.008 |")
    assert good.endswith("| 100 % | 0 | 900 / 90 |")
    assert coin.startswith("| `coin` | 0.500 |  |  |")


def test_what_cannot_be_paired_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="no choices of 'coin'"):
        markdown([], "coin")
    with pytest.raises(UserError, match="no situation"):
        markdown([choice("coin", 2, 0.5), choice("good", 3, 0.5)], "coin")
    for positions in ("1,2", "two", "3,3", ""):
        assert main(["run", "--positions", positions, "--out", str(tmp_path)]) == 1
        assert "from 2 on" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 1


def test_a_model_in_each_process_takes_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[tuple[str, int]] = []

    def opened(name: str, jobs: int = 1) -> tuple[str, str]:
        asked_for.append((name, jobs))
        return "model", "reason"

    monkeypatch.setattr(opening, "open_model", opened)
    monkeypatch.setattr(studies, "_beside", 1)
    studies._opened.cache_clear()
    try:
        studies.run_beside(3)
        studies._opened("embedded:x")
        studies._opened("embedded:x")
    finally:
        studies._opened.cache_clear()
    assert asked_for == [("embedded:x", 3)]
