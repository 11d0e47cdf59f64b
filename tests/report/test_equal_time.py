from __future__ import annotations

import pytest

from tcs_hpt.report.comparison.equal_time import at_equal_time
from tcs_hpt.report.comparison.means import task_results
from tcs_hpt.report.comparison.text import sections
from tcs_hpt.report.sections import to_markdown

from .test_comparison import make_row

QUICK = [make_row("random", s, 0.6, values=(0.3, 0.5, 0.6), seconds=(1.0, 1.0, 1.0)) for s in (0, 1)]
SLOW = [make_row("tcs", s, 0.9, values=(0.4, 0.7, 0.9), seconds=(2.0, 1.0, 5.0)) for s in (0, 1)]


def test_a_slow_method_is_cut_where_the_quickest_is_done() -> None:
    found = at_equal_time(task_results([*QUICK, *SLOW])[0])
    assert found is not None
    assert (found.seconds, found.seeds) == (3.0, 2)
    assert {name: cut.trials for name, cut in found.methods.items()} == {"random": 3.0, "tcs": 2.0}
    assert [cut.best.mean for cut in found.methods.values()] == pytest.approx([0.6, 0.7])


def test_the_first_trial_counts_always_and_lower_may_be_better() -> None:
    slow = [make_row("tcs", 0, 0.1, direction="minimize", values=(0.4, 0.1), seconds=(90.0, 1.0))]
    quick = [
        make_row("random", 0, 0.2, direction="minimize", values=(0.3, 0.2, 0.5), seconds=(1.0, 1.0, 1.0))
    ]
    found = at_equal_time(task_results([*quick, *slow])[0])
    assert found is not None
    assert (found.methods["tcs"].trials, found.methods["tcs"].best.mean) == (1.0, 0.4)
    assert found.methods["random"].best.mean == 0.2


def test_a_seed_counts_when_every_method_has_a_score_by_then() -> None:
    failing = [make_row("tcs", 0, 0.9, values=(None, 0.9), seconds=(2.0, 9.0)), SLOW[1]]
    found = at_equal_time(task_results([*QUICK, *failing])[0])
    assert found is not None
    assert found.seeds == 1
    assert at_equal_time(task_results([*QUICK, failing[0]])[0]) is None


def test_nothing_is_said_of_one_method_or_of_rows_without_times() -> None:
    assert at_equal_time(task_results(QUICK)[0]) is None
    old = [r.model_copy(update={"seconds": ()}) for r in SLOW]
    assert at_equal_time(task_results([*QUICK, *old])[0]) is None


def test_the_table_says_what_was_cut() -> None:
    text = to_markdown("c", sections(task_results([*QUICK, *SLOW])))
    assert "after 3.0 s of choosing and training, when the quickest was done; means over 2 seeds" in text
    assert "| tcs | 2.0 | 0.7000 +- 0.0000 |" in text
