from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.compare import Recorded
from tcs_hpt.experiments.suites import Generations, Suite, load_suite
from tcs_hpt.proposers import make_proposer
from tcs_hpt.proposers.genetic import generation_of
from tcs_hpt.records import Proposal, Trial
from tcs_hpt.report.comparison.rows import row_of
from tcs_hpt.report.generations import ByGeneration, generation_sections, lineages
from tcs_hpt.report.sections import to_markdown
from tcs_hpt.report.suite import write_suite
from tcs_hpt.testing.proposers import SPACES, play, proposer_study
from tests.build import study, trial


def bred(
    *generations: list[float | None], seed: int = 0, method: str = "ga:2", base: float | None = 0.2
) -> Recorded:
    """A study with these scores in these generations."""
    spec = study(name=f"s-{method.replace(':', '-')}-{seed}", method=method, seed=seed)
    trials: list[Trial] = []
    for number, scores in enumerate(generations, start=1):
        for value in scores:
            reason = f"Generation {number} of populations of 2: trials 1 and 2 crossed."
            made = trial(len(trials) + 1, {"lr": 0.01}, value)
            proposal = Proposal(config=made.config, source="ga", reason=reason)
            metrics = {**made.metrics, "base_score": base} if value is not None else {}
            trials.append(made.model_copy(update={"proposal": proposal, "metrics": metrics}))
    return Recorded(spec, tuple(trials), "trials")


def test_the_generation_is_known_of_every_trial_of_a_real_study() -> None:
    trials = play(make_proposer("ga:4"), proposer_study(SPACES["many"], trials=16), 16, ("finished",))
    found = [generation_of(t.proposal) for t in trials]
    assert found[:4] == [1, 1, 1, 1]
    assert found == sorted(found, key=lambda g: g or 0)
    assert found[-1] is not None
    assert found[-1] >= 4
    others = play(make_proposer("random"), proposer_study(SPACES["many"], trials=3), 3, ("finished",))
    assert [generation_of(t.proposal) for t in others] == [1, None, None]  # the start is everybody's


def test_the_best_of_each_generation_and_the_line_through_them() -> None:
    (found,) = lineages([bred([0.1, 0.2], [0.3, None], [0.4, 0.35]), bred([0.2], [0.3], [0.4], seed=1)])
    assert found.runs == ({1: 0.2, 2: 0.3, 3: 0.4}, {1: 0.2, 2: 0.3, 3: 0.4})
    assert found.numbers == [1, 2, 3]
    assert found.line == pytest.approx((0.1, 0.1))


def test_studies_that_do_not_breed_are_left_out() -> None:
    plain = Recorded(study(name="r", method="random"), (trial(1, {"lr": 0.01}, 0.5),), "trials")
    assert lineages([plain]) == []
    assert generation_sections(Generations(), [plain], "cold") == []


def said(*studies: Recorded, base: str = "") -> str:
    return to_markdown("g", generation_sections(Generations(base=base), studies, "cold"))


def test_the_table_tells_generations_and_fit() -> None:
    text = said(bred([0.1, 0.2], [0.4]), bred([0.2], [0.3], seed=1))
    assert "## ga:2 on digits, start cold: best val_accuracy of each generation" in text
    assert "| 1 | 0.2000 +- 0.0000 | 2 |" in text
    assert "| 2 | 0.3500 +- 0.0707 | 2 |" in text
    assert "- Linear fit: +0.1500 a generation, over 2 runs." in text
    assert "nothing was bred, so this is random search" in said(bred([0.1, 0.2]))
    assert "untuned" not in text


def test_the_untuned_model_stands_beside_the_tuned_one() -> None:
    text = said(bred([0.1, 0.25], [0.4]), bred([0.3], [0.3], seed=1), base="base_score")
    assert "## The untuned model beside the tuned one, start cold" in text
    assert "| ga:2 | digits | 0.2000 +- 0.0000 | 0.3500 +- 0.0707 | 2 |" in text


def test_generations_without_a_score_are_missing() -> None:
    (found,) = lineages([bred([None, None], [0.4])])
    assert found.runs == ({2: 0.4},)
    assert found.line is None


def test_the_suite_draws_them(tmp_path: Path) -> None:
    suite = load_suite("autollm-ga")
    assert isinstance(suite, Suite)
    studies = [bred([0.1, 0.2], [0.4]), bred([0.2], [0.3], seed=1), bred([0.2], method="random")]
    rows = [row_of(s).model_copy(update={"task": "qlora_summarization"}) for s in studies]
    written = write_suite(
        tmp_path,
        suite,
        suite.size("quick"),
        {"cold": rows},
        [],
        version="1",
        generated_at="now",
        studies={"cold": studies},
    )
    assert (tmp_path / "cold-generations.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 2
    assert "the line that fits all of them best" in page
    assert any("best val_accuracy of each generation" in section.title for section in written)
    assert ByGeneration([]).svg("g").count("no study of a genetic algorithm yet") == 1
