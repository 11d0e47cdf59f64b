from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.compare import Recorded
from tcs_hpt.experiments.suites import Generations, Suite, load_suite
from tcs_hpt.proposers import make_proposer
from tcs_hpt.records import Trial, finished
from tcs_hpt.report.comparison.rows import row_of
from tcs_hpt.report.comparison.text import digits_of, fixed
from tcs_hpt.report.generations import ByGeneration, Lineage, Run, generation_sections, lineages
from tcs_hpt.report.sections import to_markdown
from tcs_hpt.report.suite import write_suite
from tcs_hpt.testing.proposers import SPACES, play, proposer_study
from tests.build import study, trial

BORN = re.compile(r"Generation (\d+) of .*: (?:trials (\d+) and (\d+) crossed|trial (\d+))")


def bred(
    count: int = 30,
    *,
    method: str = "ga:4",
    states: tuple[str, ...] = ("finished",),
    space: dict[str, Any] = SPACES["choices only"],
    **changes: Any,
) -> Recorded:
    """A study that a genetic algorithm has run to its end, with the untuned model's score in every trial."""
    spec = proposer_study(space, method=method, trials=count, start="cold", **changes)
    trials = play(make_proposer(method), spec, count, states)
    known = (t.model_copy(update={"metrics": {**t.metrics, "base_score": 0.2}}) for t in trials)
    return Recorded(spec, tuple(known), "trials")


def stopped(whole: Recorded, count: int) -> Recorded:
    """The same study, ended by a rule after so many trials."""
    return replace(whole, trials=whole.trials[:count], ended="patience")


def table(text: str) -> dict[str, str]:
    """The best of each generation as a report tells it, by the generation's name."""
    return dict(re.findall(r"^\| (\d+(?:, incomplete)?) \| (\S+)[^|]* \| \d+ \|$", text, flags=re.MULTILINE))


def parents(trials: Sequence[Trial]) -> dict[int, set[int]]:
    """Numbers of the trials from which a generation was bred, by the number of the one before it."""
    found: dict[int, set[int]] = {}
    for t in trials:
        if born := BORN.match(t.proposal.reason):
            numbers = {int(n) for n in born.groups()[1:] if n}
            found.setdefault(int(born[1]) - 1, set()).update(numbers)
    return found


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def last(study: Recorded) -> int:
    """Number of the last generation."""
    (found,) = lineages([study])
    return found.runs[0].last


def beside(alone: Recorded) -> str:
    """The row of its untuned model and its best."""
    scores = [0.2, max(t.value or 0.0 for t in alone.trials)]
    return f"| ga:4 | toy | {' | '.join(fixed(s, digits_of(scores)) for s in scores)} | 1 |"


def said(*studies: Recorded, base: str = "") -> str:
    return to_markdown("g", generation_sections(Generations(base=base), studies, "cold"))


@pytest.mark.parametrize("seed", range(3))
def test_members_that_rejoin_count(seed: int) -> None:
    """Who is a parent was a member of the generation before, whenever it was tried."""
    played = bred(seed=seed)
    told = table(said(played))
    best = {int(name.partition(",")[0]): float(score) for name, score in told.items()}
    assert list(best) == list(range(1, max(best) + 1))
    scores = {t.number: t.value or 0.0 for t in played.trials}
    by_parents = {n: max(map(scores.__getitem__, found)) for n, found in parents(played.trials).items()}
    assert len(by_parents) > 5
    assert all(best[number] >= score - 5e-4 for number, score in by_parents.items())


def test_only_complete_studies_count() -> None:
    done, other = bred(12), bred(12, seed=1)
    running = replace(other, trials=other.trials[:9])
    text = said(done, running, base="base_score")
    assert table(text) == table(said(done))
    assert "over 1 run." in text
    assert text.count("- 1 incomplete study left out.") == 2
    assert beside(done) in text
    assert "left out" not in said(done, other, base="base_score")
    alone = said(running)
    assert "## ga:4 on toy, start cold: best val_accuracy of each generation" in alone
    assert "- 1 incomplete study left out." in alone
    assert table(alone) == {}


def test_a_last_generation_that_is_incomplete_is_shown_and_not_fitted() -> None:
    whole = bred(30, space=SPACES["many"])
    cut = {"play": stopped(whole, 6), "even": stopped(whole, 8)}
    assert list(table(said(cut["even"]))) == ["1", "2"]
    assert "incomplete" not in said(cut["even"])
    text = said(cut["play"])
    assert list(table(text)) == ["1", "2, incomplete"]
    assert "- No linear fit: that takes two complete generations with a score." in text
    note = "- The last generation is incomplete in 1 run: it is shown with the members that were tried, and not fitted."
    assert note in text
    assert "random search" not in text
    both = said(*cut.values())
    assert list(table(both)) == ["1", "2", "2, incomplete"]
    (found,) = lineages(cut.values())
    assert found.line == lineages([stopped(whole, 8), stopped(whole, 4)])[0].line
    assert note in both


def test_the_line_goes_through_complete_generations() -> None:
    objective = bred(4).spec.task.objective
    runs = (Run({1: 0.2, 2: 0.3, 3: 0.4, 4: 0.1}, last=4, cut=True), Run({1: 0.2, 2: 0.3, 3: 0.4}, last=3))
    found = Lineage("toy", "ga:4", objective, runs)
    assert found.numbers == [1, 2, 3, 4]
    assert found.line == pytest.approx((0.1, 0.1))
    assert (found.best(4), found.best_so_far(4)) == ([], [0.1])
    assert found.best(3) == [0.4, 0.4]
    assert Lineage("toy", "ga:4", objective, (Run({1: 0.2, 2: 0.3}, last=2, cut=True),)).line is None


def test_the_table_tells_generations_and_fit() -> None:
    whole = bred(30, space=SPACES["many"], seed=2)
    runs = [stopped(whole, 8), stopped(bred(30, space=SPACES["many"], seed=1), 8)]
    text = said(*runs)
    (found,) = lineages(runs)
    assert found.line is not None
    assert "## ga:4 on toy, start cold: best val_accuracy of each generation" in text
    assert re.search(r"^\| 1 \| 0\.\d{4} \+- 0\.\d{4} \| 2 \|$", text, flags=re.MULTILINE)
    assert f"- Linear fit: {fixed(found.line[0], 4, sign=True)} a generation, over 2 runs." in text
    assert "the best is that of all members." in text
    assert "belong to no generation" not in text
    assert "nothing was bred, so this is random search" in said(stopped(whole, 4))
    assert "untuned" not in text


def test_trials_outside_every_generation_are_told() -> None:
    """In a space of one parameter with few values, generations run out of anything new."""
    few = {"depth": {"type": "int", "low": 1, "high": 40, "default": 7}}
    played = bred(40, method="ga:2", space=few)
    drawn = sum(t.proposal.reason.startswith("Drawn at random, since") for t in played.trials)
    assert drawn > 1
    assert (
        f"- {drawn} trials belong to no generation: drawn at random when breeding brought nothing new, or bred from parents that still ran."
        in said(played)
    )


def test_studies_that_do_not_breed_are_left_out() -> None:
    plain = Recorded(study(name="r", method="random"), (trial(1, {"lr": 0.01}, 0.5),), "exhausted")
    assert lineages([plain]) == []
    assert generation_sections(Generations(), [plain], "cold") == []


def test_the_untuned_model_stands_beside_the_tuned_one() -> None:
    played = bred(8)
    text = said(played, base="base_score")
    assert "## The untuned model beside the tuned one, start cold" in text
    assert beside(played) in text
    assert "the tuned score is the best of a study's trials on them and so flatters" in text
    assert "its test score, in the table of test scores, was not selected." in text


def test_generations_without_a_score_are_missing() -> None:
    played = bred(8, space=SPACES["many"], states=4 * ("failed",) + 4 * ("finished",))
    assert len(finished(played.trials)) == 4
    (found,) = lineages([played])
    (run,) = found.runs
    assert 1 not in run.scores
    assert 2 in run.scores
    assert "random search" not in said(played)
    none = bred(8, space=SPACES["many"], states=4 * ("finished",) + 4 * ("failed",))
    assert list(table(said(none))) == ["1"]
    assert "- No linear fit: that takes two complete generations with a score." in said(none)


def test_scores_that_break_bounds_are_no_best() -> None:
    played = bred(8, space=SPACES["many"])
    top = max(played.trials[:4], key=lambda t: t.value or 0.0)
    broken = top.model_copy(update={"violations": ("too slow",)})
    changed = replace(played, trials=tuple(broken if t is top else t for t in played.trials))
    (found,) = lineages([changed])
    assert found.runs[0].scores[1] < (top.value or 0.0)


def test_the_suite_draws_them(tmp_path: Path) -> None:
    suite = load_suite("autollm-ga")
    assert isinstance(suite, Suite)
    played = [bred(8), stopped(bred(30, seed=1, space=SPACES["many"]), 10), bred(2, method="random")]
    studies = [replace(s, spec=s.spec.model_copy(update={"name": f"s{i}"})) for i, s in enumerate(played)]
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
    tried = {(r["study"], r["number"]): float(r["value"]) for r in read_csv(tmp_path / "trials.csv")}
    bred_again = read_csv(tmp_path / "generations.csv")
    assert [int(r["generation"]) for r in bred_again] == [
        n for s in studies[:2] for n in range(1, 1 + last(s))
    ]
    for row in bred_again:
        members = row["members"].split()
        assert float(row["best"]) == max(tried[row["study"], number] for number in members)
        assert (row["complete"] == "true") == (len(members) == 4)
    assert [r["complete"] for r in bred_again].count("false") == 1
    assert "the line that fits the complete ones best" in page
    assert any("best val_accuracy of each generation" in section.title for section in written)
    assert ByGeneration([]).svg("g").count("no complete study of a genetic algorithm yet") == 1
    unfinished = replace(studies[0], ended=None)
    nothing = ByGeneration(lineages([unfinished])).svg("g")
    assert nothing.count("no complete study of a genetic algorithm yet") == 1
