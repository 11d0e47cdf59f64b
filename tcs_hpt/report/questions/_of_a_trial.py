"""Answers about one trial, about two, and about one parameter."""

from __future__ import annotations

from collections.abc import Sequence

from tcs_hpt.evidence import curves
from tcs_hpt.evidence.candidates import past_effects
from tcs_hpt.records import Trial
from tcs_hpt.report import words
from tcs_hpt.report.questions._answer import Answer, Facts, cited, closed, sentences
from tcs_hpt.report.questions._understand import Asked
from tcs_hpt.report.tables import prediction
from tcs_hpt.space import format_value
from tcs_hpt.spec import same_scalar
from tcs_hpt.trajectory import diagnose

_EXPECTED = {
    "improves": "an improvement",
    "about the same": "about the same score",
    "worsens": "a worse score",
}
_VERDICT = {True: "rightly", False: "wrongly"}


def of_a_trial(facts: Facts, asked: Asked) -> Answer:
    """What was tried in a trial, why, what was expected and what came of it."""
    trial = facts.numbered[asked.trials[0]]
    base = trial.proposal.base_trial
    supposed = asked.about == "failures" and trial.failure is None
    found = sentences(
        f"Trial {trial.number} did not fail." if supposed else "",
        _proposal(facts, trial),
        _expectation(facts, trial),
        f"It {facts.scored(trial)}.",
        _against_base(facts, trial),
        _curve(facts, trial),
        _help(trial),
        f"It was asked to stop early: {trial.stopped_early}." if trial.stopped_early else "",
    )
    beside = f"What is the difference between trial {trial.number} and trial {base}?" if base else ""
    more = (beside, "What was the best configuration?")
    return Answer("trial", found, cited([trial.number], [base] if base else []), tuple(m for m in more if m))


def difference(facts: Facts, asked: Asked) -> Answer:
    """What sets trials apart, in their configurations and scores."""
    chosen = [facts.numbered[n] for n in asked.trials]
    lines = [f"Trial {t.number} {facts.scored(t)}." for t in chosen]
    first, *others = chosen
    for other in others:
        names = facts.space.changed_parameters(first.config, other.config)
        if not names:
            lines.append(f"Trials {first.number} and {other.number} have the same configuration.")
            continue
        apart = ", ".join(
            f"{n} {format_value(first.config.get(n))} against {format_value(other.config.get(n))}"
            for n in names
        )
        lines.append(f"Trial {first.number} against trial {other.number}: {apart}.")
        if len(names) > 1:
            lines.append("More than one thing differs, so no single one of them explains the scores.")
        elif first.value is not None and other.value is not None:
            lines.append(f"That is all that differs. {words.NOISE_NOTE}")
    return Answer("difference", " ".join(lines), cited(asked.trials))


def of_a_parameter(facts: Facts, asked: Asked) -> Answer:
    """What was tried of a parameter, and what its changes did when nothing else changed."""
    parts = [_parameter(facts, name) for name in asked.parameters]
    text = " ".join(text for text, _ in parts)
    more = ("Which parameter matters most?", "What should I try next?")
    return Answer("parameter", text, cited(*(numbers for _, numbers in parts)), more)


def _parameter(facts: Facts, name: str) -> tuple[str, Sequence[int]]:
    having = [t for t in facts.counted if name in t.config]
    if not having:
        return f"{name} was active in no trial.", ()
    values = list(dict.fromkeys(format_value(t.config[name]) for t in having))
    shown = ", ".join(values[:12]) + (f" and {len(values) - 12} more" if len(values) > 12 else "")
    lines = [f"{name} was tried at {words.count(len(values), 'value')}: {shown}."]
    best = facts.summary.best
    if best is not None and name in best.config:
        lines.append(f"The best trial ({best.number}) has {format_value(best.config[name])}.")
    numbers = [best.number] if best is not None else []
    changes = past_effects(facts.space, facts.trials, facts.objective).get(name, [])
    for one in changes[-6:]:
        trial = facts.numbered[one.trial]
        base = facts.numbered[trial.proposal.base_trial or 0]
        numbers += [one.trial, base.number]
        lines.append(
            f"Changing it alone from {format_value(base.config[name])} to {format_value(one.value)} (trial {one.trial}, from trial {base.number}) "
            f"{_moved(facts, trial, base)}."
        )
    if len(values) > 1 and not changes:
        lines.append("It never changed alone, so what it did by itself cannot be read from these trials.")
        numbers += [t.number for t in having]
    if len(values) == 1:
        lines.append("It was never changed, so nothing is known of its effect.")
    return " ".join(lines), numbers


def _moved(facts: Facts, trial: Trial, base: Trial) -> str:
    gain = facts.effect(trial)
    if gain is None:
        return f"{facts.scored(trial)}" if trial.value is None else "gave a score where its base had none"
    if same_scalar(trial.value, base.value):
        return "changed nothing"
    return f"made {facts.objective.metric} {'better' if gain > 0 else 'worse'} by {abs(gain):.3g}"


def _proposal(facts: Facts, trial: Trial) -> str:
    proposal = trial.proposal
    if trial.replicate_of is not None:
        return f"Trial {trial.number} repeats trial {trial.replicate_of} on purpose."
    if not proposal.change:
        whole = words.config_text(trial.config)
        return f"Trial {trial.number} is {'the start' if proposal.source == 'start' else f'a whole configuration, chosen by {proposal.source}'}: {whole}."
    base = f" of trial {proposal.base_trial}" if proposal.base_trial is not None else ""
    who = f"proposed by {proposal.source}"
    because = f" Why: {closed(words.one_line(proposal.reason, 300))}" if proposal.reason else ""
    fallback = f" ({words.one_line(proposal.fallback, 150)})" if proposal.fallback else ""
    return f"Trial {trial.number} changed {words.one_line(proposal.change)}{base}, {who}{fallback}.{because}"


def _expectation(facts: Facts, trial: Trial) -> str:
    analysis = trial.proposal.analysis
    if analysis is None or analysis.expected_outcome is None:
        return ""
    said = f"The analysis expected {_EXPECTED[analysis.expected_outcome]}"
    checked = prediction(trial, facts.numbered, facts.objective)
    return f"{said}, {_VERDICT[checked.hit]}." if checked is not None else f"{said}."


def _against_base(facts: Facts, trial: Trial) -> str:
    gain = facts.effect(trial)
    if gain is None or trial.proposal.base_trial is None:
        return ""
    word = "the same as" if gain == 0 else "better than" if gain > 0 else "worse than"
    by = "" if gain == 0 else f" by {abs(gain):.3g}"
    return f"That is {word} trial {trial.proposal.base_trial}{by}."


def _curve(facts: Facts, trial: Trial) -> str:
    if len(trial.epochs) < 2:
        return ""
    notes = " ".join(curves.notes(trial, facts.objective))
    return sentences(f"Its learning curve: {diagnose(trial, facts.objective).sentence()}.", notes)


def _help(trial: Trial) -> str:
    return words.failure_hint(trial.failure.message) if trial.failure is not None else ""
