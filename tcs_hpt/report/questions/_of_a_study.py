"""Answers about a study as a whole, by the kind of question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean

from tcs_hpt.evidence import curves
from tcs_hpt.evidence.blocks import ALL
from tcs_hpt.evidence.candidates import past_effects, shortlist
from tcs_hpt.records import FAILURE_WORDS
from tcs_hpt.report import words
from tcs_hpt.report.questions._answer import Answer, Facts, cited, closed, sentences
from tcs_hpt.report.questions._of_a_trial import difference, of_a_parameter, of_a_trial
from tcs_hpt.report.questions._understand import Asked, Kind
from tcs_hpt.space import format_value
from tcs_hpt.trajectory import diagnose

EXAMPLES = (
    "What is the best configuration?",
    "How did the score improve?",
    "Why is it not better?",
    "Which parameter matters most?",
    "Which trials failed, and why?",
    "Was the model right in its predictions?",
    "What should I try next?",
    "How long did it take?",
)


def overview(facts: Facts, asked: Asked) -> Answer:
    """The study in a few sentences."""
    summary, objective = facts.summary, facts.objective
    found = sentences(
        f"{facts.study.task.title or facts.study.task.name}: {words.count(summary.trials, 'trial')} of {facts.study.trials} "
        f"with method {facts.study.method}, to {words.goal(objective)}.",
        words.headline(summary, objective),
        words.target_sentence(summary.best, objective),
        words.hit_sentence(summary),
        words.cost_sentence(summary)[:1].upper() + words.cost_sentence(summary)[1:],
    )
    numbers = [t.number for t in (summary.first, summary.best) if t is not None]
    return Answer("overview", found, cited(numbers), EXAMPLES[:4])


def best(facts: Facts, asked: Asked) -> Answer:
    """The configuration to use, and how sure that is."""
    summary, objective = facts.summary, facts.objective
    if summary.best is None:
        return Answer("best", words.headline(summary, objective), cited(t.number for t in facts.counted))
    found = sentences(
        f"Trial {summary.best.number} is the best: {objective.metric} {words.number(summary.best.value)} with {words.config_text(summary.best.config)}.",
        words.headline(summary, objective),
        words.target_sentence(summary.best, objective),
        words.NOISE_NOTE,
    )
    numbers = [t.number for t in (summary.first, summary.best) if t is not None]
    return Answer("best", found, cited(numbers), ("How did the score improve?", "What is its test score?"))


def path(facts: Facts, asked: Asked) -> Answer:
    """The changes that led to the best trial, and what each gave."""
    summary = facts.summary
    lines = [words.headline(summary, facts.objective)]
    for step in summary.path:
        gave = "" if step.effect is None else f", {words.signed(step.effect)} to trial {step.base_trial}"
        lines.append(f"Trial {step.number}: {words.one_line(step.change)} ({step.source}{gave}).")
    ends = [t.number for t in (summary.first, summary.best) if t is not None]
    steps = [n for s in summary.path for n in (s.number, s.base_trial)]
    more = ("Which parameter matters most?", "What should I try next?")
    return Answer("path", " ".join(lines), cited(ends, steps), more)


def shortfall(facts: Facts, asked: Asked) -> Answer:
    """What stands in the way of a better score, as far as the records show it."""
    summary, objective, top = facts.summary, facts.objective, facts.summary.best
    lines = [words.headline(summary, objective), words.target_sentence(top, objective)]
    numbers: list[int] = [t.number for t in (summary.first, top) if t is not None]
    if top is not None and len(top.epochs) > 1:
        seen = diagnose(top, objective)
        lines.append(f"The best trial's learning curve: {seen.sentence()}.")
        lines += curves.notes(top, objective)
    if summary.failures:
        failed = sum(map(len, summary.failures.values()))
        lines.append(f"{words.count(failed, 'trial')} of {summary.trials} gave no score.")
        numbers += [n for group in summary.failures.values() for n in group]
    if summary.infeasible:
        lines.append(f"{words.count(len(summary.infeasible), 'trial')} broke the bounds.")
        numbers += summary.infeasible
    untouched = _untouched(facts)
    if untouched:
        lines.append(f"Never changed from the start: {', '.join(untouched)}.")
    lines.append("Whether the data or the model itself is the limit, the trials of one study cannot say.")
    return Answer("shortfall", sentences(*lines), cited(numbers), ("What should I try next?", EXAMPLES[4]))


def failures(facts: Facts, asked: Asked) -> Answer:
    """Which trials have no score, by reason; and which changes made the score worse."""
    found = facts.summary.failures
    failed = cited(*found.values())
    lines = [] if found else [f"None of {words.count(facts.summary.trials, 'trial')} failed."]
    for kind, numbers in found.items():
        several = len(numbers) > 1
        verb = FAILURE_WORDS[kind].replace("was ", "were ") if several else FAILURE_WORDS[kind]
        example = facts.numbered[numbers[-1]].failure
        message = words.one_line(example.message, 200).rstrip(".") if example is not None else ""
        with_what = f"{', the last one' if several else ''}: {message}" if message else ""
        lines.append(f"{words.numbers(numbers).capitalize()} {verb}{with_what}.")
        lines.append(words.failure_hint(message))
    worse = [t for t in facts.counted if t.proposal.change and (facts.effect(t) or 0.0) < 0]
    if worse:
        told = "; ".join(f"trial {t.number} ({words.one_line(t.proposal.change)})" for t in worse[-6:])
        lines.append(f"Changes that made {facts.objective.metric} worse: {told}.")
    more = (f"What happened in trial {failed[0]}?",) if failed else ()
    return Answer("failures", sentences(*lines), cited(failed, [t.number for t in worse[-6:]]), more)


def importance(facts: Facts, asked: Asked) -> Answer:
    """Parameters by how far single changes of them moved the score."""
    objective = facts.objective
    moved: list[tuple[float, str, list[int]]] = []
    for name, effects in past_effects(facts.space, facts.trials, objective).items():
        gains = [(g, e.trial) for e in effects if (g := facts.effect(facts.numbered[e.trial])) is not None]
        if gains:
            moved.append((max(abs(g) for g, _ in gains), name, [n for _, n in gains]))
    if not moved:
        return Answer(
            "importance",
            "No parameter was ever changed alone with a score before and after, so the trials cannot say which matters.",
            cited(t.number for t in facts.counted),
        )
    moved.sort(key=lambda item: (-item[0], item[1]))
    told = "; ".join(f"{name} by up to {size:.3g} ({words.numbers(sorted(n))})" for size, name, n in moved)
    untouched = _untouched(facts)
    rest = f" Nothing is known of {', '.join(untouched)}, which never changed." if untouched else ""
    text = (
        f"Measured by changes of one parameter alone, {objective.metric} moved most with {moved[0][1]}: {told}.{rest} "
        "These are effects around the configurations that were tried, not everywhere."
    )
    return Answer("importance", text, cited(*(n for *_, n in moved)), (f"What did {moved[0][1]} do?",))


def trust(facts: Facts, asked: Asked) -> Answer:
    """How often the analysis foresaw what happened."""
    summary = facts.summary
    if not summary.predictions:
        text = "No prediction could be checked: the configurations were not chosen by agents, or too few trials have a score."
        return Answer("trust", text, ())
    wrong = [p.number for p in summary.predictions if not p.hit]
    where = f"It was wrong in {words.numbers(wrong)}." if wrong else "It was never wrong."
    text = sentences(
        words.hit_sentence(summary),
        where,
        words.deviation_sentence(summary),
        "An explanation that reads well is no evidence; the measured scores are.",
    )
    return Answer(
        "trust", text, cited([p.number for p in summary.predictions]), ("Is the gain more than noise?",)
    )


def noise(facts: Facts, asked: Asked) -> Answer:
    """Whether a gain may be chance."""
    repeats = [t for t in facts.finished if t.replicate_of is not None]
    gain = facts.summary.gain
    lines = [words.headline(facts.summary, facts.objective)]
    if repeats:
        told = ", ".join(
            f"trial {t.number} repeats trial {t.replicate_of} with {words.number(t.value)} against "
            f"{words.number(facts.numbered[t.replicate_of].value if t.replicate_of in facts.numbered else None)}"
            for t in repeats
        )
        lines.append(f"{told[0].upper()}{told[1:]}.")
    else:
        lines.append(words.NOISE_NOTE)
    if gain is not None and gain > 0:
        lines.append(
            "`tcs-hpt compare TASK --confirm 5` trains the winner and the start on fresh seeds and tells the difference with its interval."
        )
    ends = [t.number for t in (facts.summary.first, facts.summary.best) if t is not None]
    return Answer("noise", sentences(*lines), cited(ends, [t.number for t in repeats]))


def curve(facts: Facts, asked: Asked) -> Answer:
    """What the best trial's learning curve shows, and what more epochs would bring."""
    top = facts.summary.best
    if top is None or len(top.epochs) < 2:
        text = "There is no learning curve to judge: the best trial reported fewer than two epochs."
        return Answer("curve", text, cited([top.number] if top else []))
    seen = diagnose(top, facts.objective)
    said = (
        " ".join(curves.notes(top, facts.objective))
        or "Nothing says clearly that more or fewer epochs would help."
    )
    text = f"The best trial ({top.number}) ran {words.count(seen.epochs, 'epoch')}: {seen.sentence()}. {said}"
    return Answer("curve", text, (top.number,), ("What should I try next?",))


def following(facts: Facts, asked: Asked) -> Answer:
    """The changes that the evidence ranks first, as method `expert` would try them."""
    evidence = facts.context.evidence(ALL)
    if evidence is None:
        return Answer(
            "next", "The space has no untested single change left.", cited(t.number for t in facts.counted)
        )
    listed = shortlist(evidence.listed)
    base = f"trial {listed.base.number}" if listed.base is not None else "the start"
    told = "; ".join(f"{c.change.text} ({c.reason.rstrip('.')})" for c in listed.candidates)
    text = sentences(
        f"From {base}, the evidence ranks these single changes first: {told}.",
        *(closed(note) for note in evidence.notes[:2]),
        "It is a ranking by what is known, not a promise.",
        f"To go on: the same `tcs-hpt tune` command with --name and more than {facts.study.trials} --trials.",
    )
    return Answer(
        "next", text, cited([listed.base.number] if listed.base else []), (EXAMPLES[3], EXAMPLES[2])
    )


def untried(facts: Facts, asked: Asked) -> Answer:
    """Where no trial was, parameter by parameter."""
    told = []
    for name in facts.study.task.params:
        values = list(dict.fromkeys(t.config[name] for t in facts.counted if name in t.config))
        shown = ", ".join(format_value(v) for v in values[:8]) or "nothing"
        told.append(f"{name}: {shown}{', ...' if len(values) > 8 else ''}")
    untouched = _untouched(facts)
    rest = (
        f" Never changed: {', '.join(untouched)}."
        if untouched
        else " Every parameter was changed at least once."
    )
    return Answer(
        "untried", f"Values that were tried: {'; '.join(told)}.{rest}", cited(t.number for t in facts.counted)
    )


def cost(facts: Facts, asked: Asked) -> Answer:
    """Time, memory and tokens."""
    summary = facts.summary
    text = words.cost_sentence(summary)
    slowest = max(facts.counted, key=lambda t: t.usage.wall_seconds)
    mean = words.duration(fmean(t.usage.wall_seconds for t in facts.counted))
    peak = (
        f" The largest needed {words.mib(summary.peak_memory_mb)} of memory."
        if summary.peak_memory_mb
        else ""
    )
    found = (
        f"{text[:1].upper()}{text[1:]} A trial took {mean} on average, the longest (trial {slowest.number}) "
        f"{words.duration(slowest.usage.wall_seconds)}.{peak}"
    )
    return Answer("cost", found, (slowest.number,))


def who(facts: Facts, asked: Asked) -> Answer:
    """Who chose the configurations, and where somebody else had to act."""
    summary, study = facts.summary, facts.study
    names = dict.fromkeys(n for n in (study.analysis_model, study.optimizer_model) if n)
    asked_models = f"Models: {' and '.join(names)}." if names else ""
    lines = [
        f"Method {study.method}. {asked_models} Trials by who chose them: {words.sources_sentence(summary.sources)}."
    ]
    for reason, numbers in summary.fallbacks.items():
        lines.append(f"In {words.numbers(numbers)} somebody else acted: {words.one_line(reason, 200)}.")
    lines.append(words.deviation_sentence(summary))
    text = " ".join(sentences(*lines).split())
    return Answer("who", text, cited(*summary.fallbacks.values(), summary.deviations))


def test_score(facts: Facts, asked: Asked) -> Answer:
    """The test metrics of the best trial, which no proposer saw."""
    top, found = facts.summary.best, facts.summary.test_metrics
    if top is None or not found:
        return Answer("test", "No test metric was reported.", cited([top.number] if top else []))
    told = ", ".join(f"{name} {words.number(value)}" for name, value in found.items())
    text = f"The best trial ({top.number}), chosen by {facts.objective.metric} {words.number(top.value)}, has {told}. No proposer saw test metrics."
    return Answer("test", text, (top.number,))


def unknown(facts: Facts, asked: Asked) -> Answer:
    """What can be asked."""
    text = (
        "I did not understand the question. The records can tell about single trials (`trial 3`), two of them, a parameter by its name, "
        "the best configuration and how it was found, failures, learning curves, predictions, costs and what to try next."
    )
    return Answer("unknown", text, (), EXAMPLES)


def _untouched(facts: Facts) -> list[str]:
    """Parameters that have one value in all trials."""
    found = []
    for name in facts.study.task.params:
        values = {format_value(t.config[name]) for t in facts.counted if name in t.config}
        if len(values) == 1:
            found.append(name)
    return found


ANSWERS: Mapping[Kind, Callable[[Facts, Asked], Answer]] = {
    "trial": of_a_trial,
    "difference": difference,
    "parameter": of_a_parameter,
    "failures": failures,
    "shortfall": shortfall,
    "curve": curve,
    "trust": trust,
    "noise": noise,
    "importance": importance,
    "path": path,
    "next": following,
    "untried": untried,
    "cost": cost,
    "who": who,
    "test": test_score,
    "best": best,
    "overview": overview,
    "unknown": unknown,
}
