from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tcs_hpt.records import Proposal, Trial
from tcs_hpt.report import figures, words
from tcs_hpt.report.closing import print_summary
from tcs_hpt.report.export import rows
from tcs_hpt.report.html import render_html
from tcs_hpt.report.rungs import fewer_sentence, kept_overall, rung_text, rungs_section, scores_by_rung
from tcs_hpt.report.tables import summarize_study
from tcs_hpt.spec import Config, Fidelity, StudySpec
from tests.build import study, task, trial

RUNGS = Fidelity(parameter="epochs", rungs=(3, 9, 27))
TASK = task().narrowed(fix={"epochs": 27})
LRS = {1: 0.001, 3: 0.003, 4: 0.01, 5: 0.03}


def spec(**changes: Any) -> StudySpec:
    return study(TASK, fidelity=RUNGS, **{"trials": 4} | changes)


def again(number: int, of: int, value: float | None, fidelity: int | None, change: str) -> Trial:
    config: Config = {"lr": LRS.get(of, 0.01)}
    proposal = Proposal(config=config, source="promotion", change=change)
    return trial(number, config, value, fidelity=fidelity, promoted_from=of, proposal=proposal)


def history(*, crossing: bool = False) -> list[Trial]:
    """Start in full, three more; all go to the middle, one to the top. With `crossing` the middle turns the order round."""
    middle = (0.7, 0.6, 0.5) if crossing else (0.5, 0.6, 0.7)
    return [
        trial(1, {"lr": 0.001}, 0.2, fidelity=3),
        again(2, 1, 0.8, None, "epochs: 3 -> 27"),
        trial(3, {"lr": 0.003}, 0.3, 1, fidelity=3),
        trial(4, {"lr": 0.01}, 0.4, 3, fidelity=3),
        trial(5, {"lr": 0.03}, 0.45, 4, fidelity=3),
        *(again(n, n - 3, v, 9, "epochs: 3 -> 9") for n, v in zip((6, 7, 8), middle, strict=True)),
        again(9, 8, 0.9, None, "epochs: 9 -> 27"),
    ]


def test_each_pair_counts_once_on_the_highest_rung_that_both_reached() -> None:
    by_rung = scores_by_rung(RUNGS, history(), TASK.objective)
    assert {rung: sorted(found) for rung, found in by_rung.items()} == {
        3: [1, 3, 4, 5],
        9: [3, 4, 5],
        27: [1, 5],
    }
    kept = kept_overall(RUNGS, by_rung)
    assert (kept.pairs, kept.kept, kept.tau, kept.poor) == (4, 4, 1.0, False)
    crossed = kept_overall(RUNGS, scores_by_rung(RUNGS, history(crossing=True), TASK.objective))
    assert (crossed.pairs, crossed.kept, crossed.tau, crossed.poor) == (4, 1, -0.5, True)


def test_a_loss_is_ranked_from_below() -> None:
    falling = task(objective={"metric": "loss", "direction": "minimize"}).objective
    turned = [t.model_copy(update={"value": 1 - (t.value or 0)}) for t in history()]
    assert kept_overall(RUNGS, scores_by_rung(RUNGS, turned, falling)).tau == 1.0


def test_equal_scores_and_single_configurations_say_nothing() -> None:
    equal = [t.model_copy(update={"value": 0.5}) for t in history()]
    kept = kept_overall(RUNGS, scores_by_rung(RUNGS, equal, TASK.objective))
    assert (kept.pairs, kept.tau, kept.poor) == (0, None, False)
    section = rungs_section(spec(), history()[:3])
    assert section is not None
    assert "nothing is known" in section.notes[0]


def test_the_table_of_rungs_and_the_warning() -> None:
    section = rungs_section(spec(), history())
    assert section is not None
    assert section.grids[0].rows == (
        ("3", "4", "4", "0.45", "-"),
        ("9", "3", "3", "0.7", "3 of 3 pairs"),
        ("27", "2", "2", "0.9", "-"),
    )
    assert "as 3.4 trials in full have" in section.lead[0]
    assert len(section.notes) == 1
    poor = rungs_section(spec(), history(crossing=True))
    assert poor is not None
    assert "tau -0.50" in poor.notes[0]
    assert poor.notes[1].startswith("Warning: epochs 3 told little here")
    assert "--fidelity epochs=9..27" in poor.notes[1]
    assert rungs_section(study(TASK), history()) is None


def test_the_result_is_that_of_the_full_number_and_its_path_that_of_the_lowest_rung() -> None:
    summary = summarize_study(spec(), history())
    assert summary.best is not None
    assert summary.first is not None
    assert (summary.first.number, summary.best.number) == (2, 9)
    assert summary.gain == pytest.approx(0.1)
    assert (summary.trials, summary.configurations) == (9, 4)
    assert [s.number for s in summary.path] == [3, 4, 5]
    assert [s.effect for s in summary.path] == pytest.approx([0.1, 0.1, 0.05])
    begun = summarize_study(spec(), history()[:1])
    assert (
        words.headline(begun, TASK.objective)
        == "No trial with all its epochs has a score yet; 1 trial with fewer."
    )
    beaten = [*history()[:-1], again(9, 8, 0.7, None, "epochs: 9 -> 27")]
    assert "3 other configurations did no better" in words.headline(
        summarize_study(spec(), beaten), TASK.objective
    )


def test_every_view_says_on_which_rung_a_trial_ran() -> None:
    trials = history()
    assert rung_text(trials[0], RUNGS) == "epochs 3 of 27"
    assert rung_text(trials[1], RUNGS) == ""
    assert words.change_of(trials[5]) == "trial 3 again, epochs: 3 -> 9"
    assert fewer_sentence(RUNGS, 10) == (
        "10 configurations with epochs 3 first, the best third again with 9, the best of these with 27: 15 trials in all"
    )
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    print_summary(console, spec(), trials, task_ref="digits")
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Fewer epochs first" in said
    assert "from 0.8 (trial 2) to 0.9 (trial 9)" in said
    assert "--fix epochs=27" in said
    page = render_html(spec(), trials, task_ref="digits", generated_at="now", version="1")
    assert '<section id="rungs">' in page
    assert "epochs 3 of 27" in page
    assert [(r["fidelity"], r["promoted_from"]) for r in rows(spec(), trials)][:3] == [
        (3, None),
        (None, 1),
        (3, None),
    ]
    assert list(figures.parameter_effects(spec(), trials)) == ["lr"]


def test_a_study_that_trains_in_full_has_no_rungs_on_its_page() -> None:
    page = render_html(study(TASK), [trial(1, {"lr": 0.01}, 0.5)], task_ref="t", generated_at="", version="")
    assert 'id="rungs"' not in page
