"""Semantic energies by agent and by what was told, as a table. Pure but for the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tcs_hpt.experiments.energy import Energy, EnergyAnswer, energies
from tcs_hpt.experiments.suites import AskingSuite
from tcs_hpt.report import words
from tcs_hpt.report.comparison.text import Run, run_section
from tcs_hpt.report.consistency import ROWS, SHOWN
from tcs_hpt.report.folder import write_folder
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.statistics import paired_difference


def energy_sections(
    suite: AskingSuite, answers: Sequence[EnergyAnswer], runs: Sequence[Run] = ()
) -> list[Section]:
    """Everything there is to say, then how it was run."""
    found = energies(answers)
    models = list(dict.fromkeys(e.model for e in found))
    about = Section("What was asked", tuple(filter(None, (suite.description,))))
    return [
        about,
        *(_model(model, [e for e in found if e.model == model], answers) for model in models),
        run_section(runs),
    ]


def write_energy(
    folder: Path,
    suite: AskingSuite,
    answers: Sequence[EnergyAnswer],
    runs: Sequence[Run],
    *,
    version: str,
    generated_at: str,
) -> list[Section]:
    """Write the table, the page and the answers; what was written, as sections.

    Raises:
        UserError: The folder cannot be written.
    """
    text = energy_sections(suite, answers, runs)
    write_folder(
        folder,
        suite.title,
        "Semantic energy",
        text,
        {ROWS: [answer.model_dump() for answer in answers]},
        version=version,
        generated_at=generated_at,
    )
    return text


def _model(model: str, found: Sequence[Energy], answers: Sequence[EnergyAnswer]) -> Section:
    agents = list(dict.fromkeys(e.agent for e in found))
    return Section(
        title=f"Model {model}",
        grids=(
            Grid(
                "Mean energy of an answer; lower is surer",
                (
                    "agent",
                    "told",
                    "answers",
                    "energy",
                    "of the most frequent meaning",
                    "meanings in a state",
                    "named a change",
                ),
                tuple(_row(e) for agent in agents for e in found if e.agent == agent),
            ),
        ),
        notes=(
            *(_difference(agent, model, answers) for agent in agents),
            *(
                f"{e.agent}, {SHOWN[e.shown]}: {e.empty} of {e.answers} empty, without energy or meaning."
                for agent in agents
                for e in found
                if e.agent == agent and e.empty
            ),
        ),
    )


def _row(energy: Energy) -> tuple[str, ...]:
    def number(value: float | None, digits: int = 2) -> str:
        return words.MISSING if value is None else f"{value:.{digits}f}"

    spread = "" if energy.std is None else f" +- {energy.std:.2f}"
    return (
        energy.agent,
        SHOWN[energy.shown],
        str(energy.answers),
        f"{number(energy.mean)}{spread}",
        number(energy.largest),
        number(energy.meanings, 1),
        f"{energy.named} of {energy.answers}",
    )


def _difference(agent: str, model: str, answers: Sequence[EnergyAnswer]) -> str:
    """The state report against the log, paired over states: with few states that decides little, and the sentence says how many."""
    means: dict[str, dict[str, list[float]]] = {}
    for answer in answers:
        if (answer.agent, answer.model) == (agent, model) and answer.energy is not None:
            means.setdefault(answer.state, {}).setdefault(answer.shown, []).append(answer.energy)
    both = [by for by in means.values() if {"log", "report"} <= set(by)]
    if not both:
        return f"{agent}: not told in both ways, so there is nothing to compare."
    report, log = ([sum(by[way]) / len(by[way]) for by in both] for way in ("report", "log"))
    gap = paired_difference(report, log)
    interval = f" (95 % interval {gap.low:+.2f} to {gap.high:+.2f})" if gap.n > 1 else ""
    return f"{agent}: with the state report {gap.mean:+.2f} against the raw log{interval}, over {words.count(gap.n, 'state')}."
