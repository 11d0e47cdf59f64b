from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tcs_hpt.compare import Recorded
from tcs_hpt.errors import UserError
from tcs_hpt.records import Proposal, Usage
from tcs_hpt.report.comparison.files import rows_of
from tcs_hpt.report.comparison.means import mean_ranks, task_results
from tcs_hpt.report.comparison.rows import Row, row_of
from tcs_hpt.report.comparison.text import sections
from tcs_hpt.report.sections import print_sections, to_markdown
from tcs_hpt.spec import Config
from tests.build import study as make_study
from tests.build import trial

from .sample import make_analysis, make_call

CONFIG: Config = {"lr": 0.01}
HOSTILE = "<b>bad</b> | [red]shape"


def make_row(
    method: str, seed: int, best: float | None, *, task: str = "t", direction: Any = "maximize", **more: Any
) -> Row:
    fields: dict[str, Any] = {
        "comparison": "c",
        "study": f"c--{task}--{method}--{seed}",
        "task": task,
        "metric": "score",
        "direction": direction,
        "method": method,
        "start": "defaults",
        "seed": seed,
        "budget": 3,
        "trials": 3,
        "state": "complete",
        "ended": "trials",
        "best": best,
        "mean": best,
        "values": (best,),
    }
    return Row.model_validate(fields | more)


def make_rows(scores: dict[str, list[float | None]], **more: Any) -> list[Row]:
    return [make_row(m, s, v, **more) for m, values in scores.items() for s, v in enumerate(values)]


def said(rows: list[Row], against: str = "") -> str:
    text = to_markdown("c", sections(task_results(rows, against)))
    return text.replace("&lt;", "<")


# -- one study ----------------------------------------------------------------------------------------------


def test_a_row_holds_what_the_study_was() -> None:
    spec = make_study(name="c--digits--tcs--4", comparison="c", seed=4, trials=4, analysis_model="m")
    analysis = make_analysis("lr: 0.01 -> 0.003")
    calls = (make_call("analysis", "{}"), make_call("optimizer", "{}"))
    agents = Proposal(
        config=CONFIG, source="agents", base_trial=1, change="lr", analysis=analysis, calls=calls, seconds=2.0
    )
    stand_in = agents.model_copy(update={"source": "expert", "fallback": "nonsense"})
    trials = [
        trial(1, CONFIG, 0.5, usage=Usage(wall_seconds=10)),
        trial(2, CONFIG, 0.7, proposal=agents, usage=Usage(wall_seconds=20)),
        trial(3, CONFIG, None, kind="out_of_memory", proposal=stand_in),
        trial(4, CONFIG, None, state="interrupted", failure=None, proposal=agents),
        trial(5, CONFIG, 0.6, proposal=agents, retry_of=4),
    ]
    row = row_of(Recorded(spec, tuple(trials), "trials"), "an old failure that no longer counts")
    assert (row.state, row.reason, row.counts) == ("complete", "", True)
    assert (row.best, row.best_trial, row.test) == (0.7, 2, {"test_accuracy": 0.123456})
    assert row.mean == pytest.approx((0.5 + 0.7 + 0.6) / 3)
    assert row.values == (0.5, 0.7, None, 0.6)
    assert (row.trials, row.budget, row.interrupted) == (4, 4, 1)
    assert row.failures == {"out_of_memory": 1}
    assert row.sources == {"start": 1, "agents": 2, "expert": 1}
    assert row.fallbacks == 1
    assert (row.predictions, row.hits, row.improved) == (2, 2, 2)  # the stand-in's change was not foreseen
    assert row.training_seconds == 30
    assert row.calls == 6  # the repeated configuration was decided once
    assert row.prompt_tokens == 6 * calls[0].prompt_tokens
    assert row.label == "tcs (m)"


def test_a_score_that_breaks_a_bound_is_no_best() -> None:
    spec = make_study(name="c--digits--tcs--4", comparison="c", trials=2)
    trials = (trial(1, CONFIG, 0.5), trial(2, CONFIG, 0.99, violations=("ms",)))
    row = row_of(Recorded(spec, trials, "trials"))
    assert row.values == (0.5, None)
    assert (row.best, row.infeasible) == (0.5, 1)


@pytest.mark.parametrize(
    ("ended", "count", "failure", "state"),
    [
        (None, 0, "", "unfinished"),
        ("interrupted", 1, "", "unfinished"),
        ("trials", 1, "", "unfinished"),  # the budget has grown since
        ("trials", 2, "", "complete"),
        ("exhausted", 1, "", "complete"),
        (None, 0, "model gone", "failed"),
        ("interrupted", 1, "nothing works", "failed"),
        ("trials", 2, "model gone", "complete"),
    ],
)
def test_the_state_of_a_study(ended: Any, count: int, failure: str, state: str) -> None:
    trials = tuple(trial(n, CONFIG, 0.5) for n in range(1, count + 1))
    assert row_of(Recorded(make_study(trials=2), trials, ended), failure).state == state


def test_failures_are_kept_for_studies_that_never_began() -> None:
    spec = make_study(name="a", trials=1)
    gone, old = make_row("x", 0, None, study="b", state="failed"), make_row("x", 0, None, study="a")
    rows = rows_of([Recorded(spec, (trial(1, CONFIG, 0.5),), "trials")], [gone, old])
    assert [(r.study, r.state) for r in rows] == [("a", "complete"), ("b", "failed")]


# -- numbers, by hand ---------------------------------------------------------------------------------------


def test_mean_and_spread_are_those_of_a_pocket_calculator() -> None:
    rows = make_rows({"coin": [0.80, 0.90, 1.00], "expert": [0.85, 0.95, 1.05]}, test={"test_score": 0.5})
    coin, expert = task_results(rows)[0].methods
    assert coin.best is not None
    assert coin.best.mean == pytest.approx(0.9)
    assert coin.best.std == pytest.approx(0.1)  # sqrt((0.01 + 0 + 0.01) / 2)
    assert expert.test("test_score") == (0.5, 0.0)
    assert "| coin | 3 | 0.900 +- 0.100 | 0.5000 +- 0.0000 | 0.900 +- 0.100 |" in said(rows)


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_differences_are_paired_and_positive_is_better(direction: str, sign: int) -> None:
    rows = make_rows({"coin": [1.0, 2.0, 3.0], "expert": [1.1, 2.2, 3.6]}, direction=direction)
    found = task_results(rows)[0].differences[0]
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(sign * 0.3)  # (0.1 + 0.2 + 0.6) / 3
    assert found.interval.n == 3
    assert found.p == pytest.approx(2 / 8)
    assert found.verdict == "too few seeds to tell (6 or more can)"


def test_the_verdict_needs_an_interval_without_zero_and_enough_seeds() -> None:
    def verdict(gains: list[float], direction: str = "maximize") -> str:
        scores: dict[str, list[float | None]] = {"coin": [0.0] * len(gains), "x": [*gains]}
        return task_results(make_rows(scores, direction=direction))[0].differences[0].verdict

    six = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]
    assert verdict(six) == "better"
    assert verdict(six, "minimize") == "worse"
    assert verdict([-g for g in six], "minimize") == "better"
    assert verdict(six[:5]) == "too few seeds to tell (6 or more can)"
    assert verdict([0.1, -0.2, 0.3, -0.1, 0.2, -0.3]) == "within the noise"
    assert verdict([0.0] * 8) == "within the noise"
    assert verdict([0.5]) == "one seed says nothing about the noise"


def test_a_method_that_lost_studies_is_not_called_better() -> None:
    good: list[float | None] = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97]
    poor: list[float | None] = [0.5, 0.51, 0.5, 0.51, 0.5, 0.51, 0.5, 0.51]
    (whole,) = task_results(make_rows({"coin": poor, "expert": good}))[0].differences
    assert whole.verdict == "better"
    (lossy,) = task_results(make_rows({"coin": poor, "expert": [*good[:-1], None]}))[0].differences
    assert lossy.verdict == "no verdict: 1 of its studies gave no score"


def test_seeds_are_paired_by_number_not_by_place() -> None:
    rows = [make_row("coin", 0, 1.0), make_row("coin", 1, 5.0), make_row("x", 1, 6.0), make_row("x", 2, 0.0)]
    found = task_results(rows)[0].differences[0]
    assert found.interval is not None
    assert (found.interval.mean, found.interval.n) == (1.0, 1)
    assert "Unequal seeds (coin: 0, 1; x: 1, 2)" in said(rows)
    apart = [make_row("coin", 0, 1.0), make_row("x", 1, 6.0)]
    assert task_results(apart)[0].differences[0].verdict == "no seed in common"


def test_the_control_is_coin_then_random_then_the_first() -> None:
    models = {"analysis_model": "m", "optimizer_model": "m"}
    rows = [make_row("tcs", 0, 1.0, **models), make_row("random", 0, 1.0), make_row("coin", 0, 1.0)]
    assert task_results(rows)[0].control == "coin"
    assert task_results(rows[:2])[0].control == "random"
    assert task_results(rows[:1])[0].control == "tcs (m)"
    for name in ("tcs", "tcs@m", "tcs (m)"):
        assert task_results(rows, name)[0].control == "tcs (m)"
    with pytest.raises(UserError, match="no method"):
        task_results(rows, "magic")
    other = make_row("tcs", 0, 1.0, analysis_model="n", optimizer_model="n")
    with pytest.raises(UserError, match="several methods"):
        task_results([*rows, other], "tcs")


def test_the_coin_of_raw_is_a_control_before_the_model_itself() -> None:
    (result,) = task_results(make_rows({"raw": [0.5], "coin:raw": [0.4]}))
    assert result.control == "coin:raw"


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_best_so_far_follows_the_direction_and_keeps_the_best_of_a_short_study(direction: str) -> None:
    sign = 1.0 if direction == "maximize" else -1.0
    rows = [
        make_row("x", 0, sign * 3, values=(sign * 1, None, sign * 3), direction=direction),
        make_row("x", 1, sign * 2, values=(None, sign * 2), direction=direction),
        make_row("x", 2, None, values=(None, None), direction=direction),  # no result: not in the curve
    ]
    assert task_results(rows)[0].methods[0].best_so_far() == [[], [sign * 1, sign * 2], [sign * 3, sign * 2]]


def test_ranks_are_over_tasks_and_seeds_that_all_have() -> None:
    one = make_rows({"a": [0.9, 0.5], "b": [0.8, 0.5], "c": [0.7, None], "gone": [None, None]}, task="one")
    two = make_rows({"a": [1.0, 2.0], "b": [0.1, 0.2], "c": [3.0, 3.0]}, task="two", direction="minimize")
    ranks = mean_ranks(task_results(one + two))
    assert ranks is not None
    # one/0: a 1, b 2, c 3. two/0: b 1, a 2, c 3. two/1: b 1, a 2, c 3. one/1 lacks c.
    assert ranks.mean == {"b": pytest.approx(4 / 3), "a": pytest.approx(5 / 3), "c": 3.0}
    assert list(ranks.mean) == ["b", "a", "c"]
    assert (ranks.blocks, ranks.of, ranks.absent) == (3, 4, ("gone",))
    tied = make_rows({"a": [1.0], "b": [1.0]}, task="one") + make_rows({"a": [1.0], "b": [1.0]}, task="two")
    ties = mean_ranks(task_results(tied))
    assert ties is not None
    assert ties.mean == {"a": 1.5, "b": 1.5}
    assert mean_ranks(task_results(one)) is None
    assert "Not ranked: there is no pair" in said(make_rows({"a": [1.0]}, task="one") + two)


# -- what must be said --------------------------------------------------------------------------------------


def test_whatever_the_numbers_leave_out_is_said() -> None:
    rows = [
        *make_rows({"coin": [0.5, 0.7]}),
        make_row("x", 0, 0.9),
        make_row("x", 1, 0.99, state="unfinished", trials=2),
        make_row("y", 0, None, state="failed", trials=0, reason=f"model gone {HOSTILE}"),
        make_row("y", 1, None, state="failed", trials=0, reason=f"model gone {HOSTILE}"),
        make_row("z", 0, None, failures={"crashed": 3}, last_failure="bad shape"),
        make_row("z", 1, 0.4, trials=2, ended="exhausted"),
    ]
    text = said(rows)
    assert "| x | 1 of 2 | 0.9000 |" in text  # the unfinished one is better, and is not in it
    assert "| y | 0 of 2 | - | - |" in text
    assert "- x, seed 1: unfinished, left out: 2 of 3 trials" in text
    assert f"- y, seeds 0, 1: failed, left out: model gone {HOSTILE}" in text
    assert "- z, seed 0: no trial has a score, left out; the last one: bad shape" in text
    assert "- z, seed 1: 2 of 3 trials. Stopped early: no untested configuration is left." in text
    assert "3 (crashed 3)" in text


def test_unequal_rules_are_said() -> None:
    rows = [*make_rows({"coin": [0.5, 0.6]}), make_row("x", 0, 0.9, budget=9, trials=9, start="cold")]
    text = said(rows)
    assert "Unequal numbers of trials" in text
    assert "Unequal starts" in text
    assert "Unequal profiles" not in text
    assert "3 or 9 trials from the task's defaults or a first configuration of its own (start cold)" in text
    assert "Unequal" not in said(make_rows({"coin": [0.5], "x": [0.5]}))


def test_the_ledger_adds_up() -> None:
    costs: dict[str, Any] = {
        "calls": 4,
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "thinking_seconds": 30.0,
    }
    rows = [
        make_row(
            "tcs", 0, 0.5, **costs, sources={"start": 1, "agents": 2}, predictions=2, hits=1, improved=2
        ),
        make_row(
            "tcs", 1, 0.5, **(costs | {"prompt_tokens": 3000}), training_seconds=3.0, fallbacks=1
        ).model_copy(update={"sources": {"start": 1, "agents": 1, "expert": 1}, "predictions": 2, "hits": 2}),
    ]
    line = next(x for x in said(rows).splitlines() if "agents" in x)
    assert line == (
        "| tcs | 6 | 0 | agents 3, start 2, expert 1 (1 fallback) "
        "| 3 of 4 (75 %; always 'improves': 50 %) | 30 | 2,000 | 100 | 1.5 |"
    )


@pytest.mark.parametrize(
    ("best", "shown"),
    [
        (0.98765, "0.9877"),
        (81.234567, "81.23"),
        (0.0001234567, "0.0001235"),
        (1.5e12, "1.5e+12"),
        (0.0, "0.0000"),
    ],
)
def test_numbers_have_four_digits(best: float, shown: str) -> None:
    assert f"| coin | 1 | {shown} |" in said([make_row("coin", 0, best)])


def test_small_scores_beside_a_large_one_keep_their_digits() -> None:
    text = said(make_rows({"coin": [20.0, 25.0], "expert": [0.0031, 0.0004]}, direction="minimize"))
    assert "0.00175 +- 0.001909" in text


def test_a_test_metric_of_another_size_keeps_its_digits() -> None:
    rows = [make_row("coin", s, 52000.0 + s, test={"test_r2": 0.57}) for s in range(2)]
    assert "0.5700 +- 0.0000" in said(rows)


def test_markdown_and_terminal_show_hostile_text_as_text() -> None:
    text = sections(task_results([make_row("x", 0, None, state="failed", reason=HOSTILE)]))
    assert "<b>" not in to_markdown(HOSTILE, text)
    rows = [make_row("x|y", 0, 0.5)]
    assert "| x\\|y | 1 |" in said(rows)
    console = Console(width=200, record=True, file=io.StringIO())
    print_sections(console, text)
    assert HOSTILE in console.export_text()
