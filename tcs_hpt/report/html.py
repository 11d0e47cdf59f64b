"""A study as one HTML file that needs no network and no script; everything a model wrote is shown as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tcs_hpt.errors import UserError
from tcs_hpt.records import Trial, by_number, effect, measured_outcome
from tcs_hpt.report import figures, words
from tcs_hpt.report.fidelity import fidelity_sentence
from tcs_hpt.report.pages import page_template, replace_file
from tcs_hpt.report.rungs import rung_text, rungs_section
from tcs_hpt.report.tables import (
    StudySummary,
    compare_configs,
    exact,
    prediction,
    reproduce_command,
    summarize_study,
)
from tcs_hpt.report.tradeoffs import front_figure, front_grid, trade_offs
from tcs_hpt.space import format_value
from tcs_hpt.spec import CategoricalParameter, ParameterSpec, StudySpec, same_scalar

ANALYSIS_PARTS = (
    ("problem_diagnosis", "1. Problem diagnosis"),
    ("impact_assessment", "2. Impact assessment"),
    ("primary_action", "3. Primary action"),
    ("specific_recommendation", "4. Specific recommendation"),
    ("reasoning", "5. Reasoning"),
    ("expected_outcome", "6. Expected outcome"),
)
MISSING_VALUE = "not used"
"""Shown for a parameter that a configuration does not have."""
MARKS = {"improves": "good", "about the same": "flat", "worsens": "bad"}


def render_html(
    study: StudySpec,
    trials: Sequence[Trial],
    *,
    task_ref: str,
    generated_at: str,
    version: str,
    store_url: str = "",
) -> str:
    """The report as text. The same arguments give the same text.

    Args:
        study: The study.
        trials: Its trials, in any order, interrupted and running ones too.
        task_ref: The task as the user would name it, for the command that reproduces the best.
        generated_at: When the report was made, as it shall be printed.
        version: Version of tcs_hpt.
        store_url: Database of the study; empty for the default one.
    """
    from markupsafe import Markup

    shown = sorted(trials, key=lambda t: t.number)
    summary = summarize_study(study, shown)
    best = summary.best
    traded = trade_offs(shown, study.task.objective)
    context = {
        "study": study,
        "task": study.task,
        "objective": study.task.objective,
        "summary": summary,
        "best": best,
        "title": study.task.title or study.task.name,
        "sentences": _sentences(study, summary, trials),
        "config_rows": _config_rows(study, summary),
        "command": reproduce_command(study, best, task_ref=task_ref, store_url=store_url) if best else "",
        "history": Markup(figures.history(study, shown)),
        "curves": Markup(figures.learning_curves(study, shown)),
        "effects": [Markup(svg) for svg in figures.parameter_effects(study, shown).values()],
        "rungs": rungs_section(study, shown),
        "front": front_grid(traded, study.task.objective) if traded else None,
        "front_figure": Markup(front_figure(traded, study.task.objective, best)),
        "cards": [_card(study, trial, by_number(shown), best) for trial in shown],
        "colour": figures.source_colour,
        "words": words,
        "marks": MARKS,
        "generated_at": generated_at,
        "version": version,
    }
    return page_template("study.html.j2").render(context)


def write_html(
    path: Path,
    study: StudySpec,
    trials: Sequence[Trial],
    *,
    task_ref: str,
    generated_at: str,
    version: str,
    store_url: str = "",
) -> None:
    """Write the report; a reader sees the old file or the new one, never half of one. Folders are created.

    Raises:
        UserError: The file cannot be written.
    """
    text = render_html(
        study, trials, task_ref=task_ref, generated_at=generated_at, version=version, store_url=store_url
    )
    try:
        replace_file(path, text)
    except OSError as error:
        raise UserError(
            f"the report cannot be written to {path}: {error}", hint="Choose another place for the report."
        ) from error


def _sentences(study: StudySpec, summary: StudySummary, trials: Sequence[Trial]) -> dict[str, str]:
    objective = study.task.objective
    return {
        "headline": words.headline(summary, objective),
        "goal": words.goal(objective),
        "target": words.target_sentence(summary.best, objective),
        "hits": words.hit_sentence(summary),
        "deviations": words.deviation_sentence(summary),
        "noise": words.NOISE_NOTE if summary.improved else "",
        "fidelity": fidelity_sentence(trials, objective) if study.fidelity is None else "",
    }


def _config_rows(study: StudySpec, summary: StudySummary) -> list[dict[str, Any]]:
    if summary.best is None:
        return []
    rows = []
    for row in compare_configs(study, summary.first, summary.best):
        parameter = study.task.params.get(row.name)
        rows.append(
            {
                "name": row.name,
                "start": MISSING_VALUE if row.start is None else format_value(row.start),
                "best": MISSING_VALUE if row.best is None else format_value(row.best),
                "exact": "" if row.best is None else exact(row.best),
                "changed": row.changed,
                "range": "" if parameter is None else range_text(parameter),
                "about": "" if parameter is None else parameter.description,
            }
        )
    return rows


def range_text(parameter: ParameterSpec) -> str:
    """Allowed values in a few words: `1e-5 to 0.1 (log)`, `adam, sgd`."""
    if isinstance(parameter, CategoricalParameter):
        return ", ".join(format_value(c) for c in parameter.choices)
    return (
        f"{format_value(parameter.low)} to {format_value(parameter.high)}{' (log)' if parameter.log else ''}"
    )


def _card(study: StudySpec, trial: Trial, trials: Mapping[int, Trial], best: Trial | None) -> dict[str, Any]:
    """Everything the template shows of one trial."""
    from markupsafe import Markup

    objective = study.task.objective
    proposal = trial.proposal
    base = trials.get(proposal.base_trial) if proposal.base_trial is not None else None
    checked = prediction(trial, trials, objective)
    return {
        "trial": trial,
        "proposal": proposal,
        "is_best": best is not None and trial.number == best.number,
        "change": words.change_of(trial),
        "rung": rung_text(trial, study.fidelity),
        "value": words.number(trial.value),
        "effect": words.signed(effect(trial, trials, objective)),
        "outcome": measured_outcome(trial, trials, objective),
        "base": base,
        "config": [
            (name, format_value(value), exact(value), base is not None and not _same(base, name, value))
            for name, value in trial.config.items()
        ],
        "metrics": [(n, words.number(v)) for n, v in trial.metrics.items() if not n.startswith("test_")],
        "test_metrics": [(n, words.number(v)) for n, v in trial.metrics.items() if n.startswith("test_")],
        "curve": Markup(figures.trial_curves(study, trial)),
        "broken_epochs": [e.epoch for e in trial.epochs if e.non_finite],
        "analysis": _analysis_parts(trial),
        "expected": checked,
    }


def _same(base: Trial, name: str, value: object) -> bool:
    return name in base.config and same_scalar(base.config[name], value)


def _analysis_parts(trial: Trial) -> list[tuple[str, str]]:
    analysis = trial.proposal.analysis
    if analysis is None:
        return []
    values = analysis.model_dump(exclude={"impact_assessment"})
    values["impact_assessment"] = (
        ", ".join(f"{name}: {impact}" for name, impact in analysis.impact_assessment.items()) or "none given"
    )
    if analysis.expected_outcome is None:
        values["expected_outcome"] = "none: there was no trial yet to compare with"
    return [(label, str(values[key]) or words.MISSING) for key, label in ANALYSIS_PARTS]
