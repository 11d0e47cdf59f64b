"""The development bench with models: what their choices were like, and experiments that ask a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.dev import results
from benchmarks.dev.__main__ import ABLATION, main
from benchmarks.dev.decisions import HEAD, decisions
from benchmarks.dev.studies import Method, Row, parse_methods
from tcs_hpt.errors import UserError
from tcs_hpt.evidence.blocks import BLOCKS
from tcs_hpt.llm import ChatModel
from tcs_hpt.proposers import AgentsProposer, CoinProposer, Proposer
from tcs_hpt.proposers.views import TcsView
from tests.dev_rows import row

VARIANTS = "benchmarks.dev.variants"


def asking(model: ChatModel) -> Proposer:
    return AgentsProposer(model, model, TcsView())


def not_asking() -> Proposer:
    return CoinProposer()


def decided(trial: int, place: int | None, **changes: Any) -> Row:
    return row("car", "tcs", 0, trial, 1.0, place=place, options=8, **changes)


def cells(rows: list[Row]) -> dict[str, str]:
    (line,) = decisions([rows])
    return dict(zip(HEAD, line, strict=True))


def test_choices_are_counted() -> None:
    start = row("car", "tcs", 0, 1, 1.0)
    agreed: dict[str, Any] = {"deviation": False, "read_tokens": 100, "written_tokens": 10}
    found = cells(
        [
            start,
            decided(2, 1, **agreed, expected="improves", measured="improves", expected_size="large"),
            decided(3, 3, **agreed, expected="worsens", measured="improves"),
            decided(4, 8, deviation=True, read_tokens=400, written_tokens=40),
            decided(5, None, deviation=False, fallback=True, read_tokens=200, written_tokens=20),
        ]
    )
    assert found == {
        "method": "`tcs`",
        "decisions": "4",
        "took the first": "33 %",
        "one of the first three": "67 %",
        "departed": "25 %",
        "fell back": "25 %",
        "foreseen": "1 of 2",
        'always "improves"': "2 of 2",
        "size foreseen": "0 of 1",
        "tokens read": "200",
        "written": "20",
    }


def test_methods_without_a_model_have_places_only() -> None:
    found = cells([row("car", "coin", 0, 2, 1.0, place=2, options=8)])
    assert found["took the first"] == "0 %"
    assert found["departed"] == found["foreseen"] == found["tokens read"] == ""


def test_methods_without_a_list_are_left_out() -> None:
    assert decisions([[row("car", "gp", 0, 1, 1.0), row("car", "gp", 0, 2, 1.0)]]) == []


def test_an_experiment_may_ask_a_model() -> None:
    asks, does_not = f"{__name__}:asking", f"{__name__}:not_asking"
    with pytest.raises(UserError, match="needs a language model"):
        parse_methods(f"mine={asks}")
    assert parse_methods(f"mine={asks},coin2={does_not}", "scripted:first") == [
        Method("mine", asks, "scripted:first"),
        Method("coin2", does_not),
    ]


def test_free_numbers_are_told_apart_from_choices() -> None:
    assert [m.label for m in parse_methods("tcs,coin", "scripted:first", "free")] == [
        "tcs (scripted:first, free numbers)",
        "coin",
    ]


def test_the_variants_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("long", "ranked", "majority", "whole", "coin_of_eight", "coin_of_the_best")
    methods = ",".join(f"{name}={VARIANTS}:{name}" for name in names)
    command = ["run", "--methods", f"coin,{methods}", "--model", "scripted:first", "--problems", "car"]
    assert main([*command, "--seeds", "1", "--trials", "4", "--jobs", "1", "--out", str(tmp_path)]) == 0
    by_method = {rows[0].method: rows for rows in results.read(tmp_path)}
    assert set(by_method) == {"coin", *names}
    listed = {name: max(r.options for r in rows) for name, rows in by_method.items() if name != "whole"}
    assert listed == {
        "coin": 3,
        "ranked": 3,
        "majority": 3,
        "coin_of_the_best": 3,
        "long": 8,
        "coin_of_eight": 8,
    }
    assert [r.source for r in by_method["whole"]] == ["start", "agents", "agents", "agents"]
    assert all(r.options == 0 for r in by_method["whole"])
    # The scripted model takes the first of what it is shown, and the ranked list begins with the best.
    assert [r.place for r in by_method["ranked"][1:]] == [1, 1, 1]
    calls = {name: sum(r.read_tokens for r in by_method[name][1:]) for name in ("ranked", "majority")}
    assert calls["majority"] > 2 * calls["ranked"]
    capsys.readouterr()
    assert main(["report", str(tmp_path)]) == 0
    assert "| `ranked` | 3 | 100 % | 100 % | 0 % | 0 % |" in capsys.readouterr().out


def test_short_questions_are_put_in_every_order(tmp_path: Path) -> None:
    names = ("short", "turned", "two_steps")
    methods = ",".join(f"{name}=benchmarks.dev.short_questions:{name}" for name in names)
    command = ["run", "--methods", methods, "--model", "scripted:first", "--problems", "car,slice"]
    assert main([*command, "--seeds", "2", "--trials", "5", "--jobs", "1", "--out", str(tmp_path)]) == 0
    studies = results.read(tmp_path)
    assert {rows[0].method for rows in studies} == set(names)
    later = {name: [r for rows in studies for r in rows[1:] if r.method == name] for name in names}
    assert all(r.source == "agents" and not r.failure for rows in later.values() for r in rows)
    # The scripted model takes what stands first: of a shuffled list any, of all orders of it each once.
    assert {r.place for r in later["short"]} == {1, 2, 3}
    assert {r.place for r in later["turned"]} == {1}
    assert {r.options for r in later["two_steps"]} == {8}
    once, thrice = (later[name][0].read_tokens for name in ("short", "turned"))
    assert 2 * once < thrice < 4 * once


def test_free_numbers_are_asked_for(tmp_path: Path) -> None:
    command = [
        "run",
        "--methods",
        "tcs",
        "--model",
        "scripted:first",
        "--problems",
        "car",
        "--answers",
        "free",
    ]
    assert main([*command, "--seeds", "1", "--trials", "2", "--jobs", "1", "--out", str(tmp_path)]) == 0
    ((_, second),) = results.read(tmp_path)
    assert second.method == "tcs (scripted:first, free numbers)"
    assert second.source == "agents" or second.fallback


def test_the_ablation_has_every_part_of_tcs() -> None:
    methods = parse_methods(",".join(ABLATION), "scripted:first")
    targets = {m.target for m in methods}
    assert {"tcs", "tcs-paper", "raw", "scores", "blind", "coin", "expert", "gp"} < targets
    assert {f"tcs:no-{block}" for block in BLOCKS} - targets == {"tcs:no-memory"}
