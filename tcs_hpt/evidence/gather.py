"""All evidence about the coming trial: which single changes are on offer, in which order, and what is known of them in words.

Pure and deterministic, and every block can be left out. The plain ranking (role, diagnosis, past effects) is always there; the blocks add
to its scores, so that none of them decides alone. The weights below are ours, chosen on the eight tables of the development bench and
checked on its other problems: `benchmarks/LOG.md` has what each block is worth. The surrogate's order has no weight, because every weight that was
tried made the best trial worse; what counts is what it is sure will hurt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tcs_hpt.evidence import curves, stagnation
from tcs_hpt.evidence.blocks import Block
from tcs_hpt.evidence.candidates import Candidate, CandidateList, base_configs, diverse, scored_changes
from tcs_hpt.evidence.knowledge import Knowledge, knowledge
from tcs_hpt.evidence.memory import Memory, with_memory
from tcs_hpt.evidence.surrogate import Confidence, Ranked, rank
from tcs_hpt.records import Trial, incumbent
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, Scalar, TaskSpec
from tcs_hpt.trajectory import Diagnosis

SENSIBLE = 1.0
"""What going from a senseless to a sensible value by name is worth in the ranking."""
AVOIDED: dict[Confidence, float] = {"sure": 0.6, "likely": 0.0}
"""What a large loss that the surrogate expects costs; a small one costs half. A likely one is said, and costs nothing."""
KNOWN = 3
"""Most notes of what is known by name."""


@dataclass(frozen=True)
class Evidence:
    """What is known about the coming trial."""

    listed: CandidateList
    """The changes on offer, best first, each with its reason."""
    notes: tuple[str, ...]
    """Sentences about the study as a whole, the most important first."""


def gather(
    task: TaskSpec,
    trials: Sequence[Trial],
    diagnosis: Diagnosis,
    *,
    blocks: frozenset[Block],
    start: Mapping[str, Scalar],
    text: str = "",
    memory: Memory | None = None,
) -> Evidence | None:
    """What the blocks say about the coming trial; None when the space has no untested change left.

    Args:
        task: With profile and overrides applied.
        trials: All trials of the study.
        diagnosis: What the base's curve shows.
        blocks: Which blocks take part.
        start: Base before any trial has ended.
        text: What the user said about model, data and goal.
        memory: What earlier studies have to say.
    """
    space, objective = SearchSpace(task.params), task.objective
    found = base_configs(space, trials, objective, start=start)
    stuck = stagnation.stagnation(trials, objective) if "stagnation" in blocks else stagnation.Stagnation(0)
    if stuck.elsewhere:
        found = stagnation.elsewhere(space, found)
    known = knowledge(task, text) if "knowledge" in blocks else None
    for base, config in found:
        plain = scored_changes(space, trials, objective, diagnosis, base, config)
        if not plain:
            continue
        weighed = _weighed(space, task, trials, plain, config, known, stuck, blocks)
        listed = CandidateList(base, dict(config), diverse(weighed))
        if memory is not None and "memory" in blocks:
            listed = with_memory(task, listed, memory.values, trials)
        return Evidence(listed, _notes(task, trials, base, known, stuck, blocks, listed))
    return None


def _weighed(
    space: SearchSpace,
    task: TaskSpec,
    trials: Sequence[Trial],
    plain: Sequence[Candidate],
    config: Config,
    known: Knowledge | None,
    stuck: stagnation.Stagnation,
    blocks: frozenset[Block],
) -> list[Candidate]:
    """The changes with what the blocks add to their scores, best first."""
    expected: dict[str, Ranked] = {}
    if "surrogate" in blocks:
        changes = [(c.change, c.config) for c in plain]
        ranked = rank(space, trials, task.objective, changes, base=config, prior=known)
        expected = {r.change.text: r for r in ranked}
    weighed = []
    for one in plain:
        score, reason, hurts = one.score, one.reason, False
        if known is not None:
            name = one.change.parameter
            before = 0.5 if one.change.old is None else known.prior(name, one.change.old, config)
            score += SENSIBLE * (known.prior(name, one.change.new, one.config) - before)
        seen = expected.get(one.change.text)
        if seen is not None and seen.effect.endswith("loss") and seen.confidence in AVOIDED:
            score -= AVOIDED[seen.confidence] * (1.0 if seen.effect == "large loss" else 0.5)
            reason, hurts = f"The trials so far say {seen.words}.", True
        if stuck.farther:
            score += stagnation.bonus(space, one.change)
        weighed.append(replace(one, score=score, reason=reason, hurts=hurts))
    return sorted(weighed, key=lambda c: -c.score)


def _notes(
    task: TaskSpec,
    trials: Sequence[Trial],
    base: Trial | None,
    known: Knowledge | None,
    stuck: stagnation.Stagnation,
    blocks: frozenset[Block],
    listed: CandidateList,
) -> tuple[str, ...]:
    """What is known about the study as a whole, in sentences."""
    found: list[str] = []
    if stuck.farther:
        moved = base is not incumbent(trials, task.objective)
        after = f"No new best for {stuck.since} trials: "
        found.append(after + ("start from another good trial." if moved else "look farther away."))
    if "curves" in blocks and base is not None:
        found += curves.notes(base, task.objective)
    if known is not None:
        offered = {c.change.parameter for c in listed.candidates}
        about = [n for n in known.notes() if any(name in n for name in offered)]
        found += about[:KNOWN]
    return tuple(found)
