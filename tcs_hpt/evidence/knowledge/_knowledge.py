"""What is known about one task, and its uses: a first configuration, values worth trying, a prior over values, notes for a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tcs_hpt.evidence.knowledge._context import fixed_concepts, listed, plain_momentum, told
from tcs_hpt.evidence.knowledge._entry import UNSAID, Confidence, Entry, chain
from tcs_hpt.evidence.knowledge._family import Inferred, infer
from tcs_hpt.evidence.knowledge._fit import Fitted, applies, choice_name, fit, worth
from tcs_hpt.evidence.knowledge._matching import Match, match
from tcs_hpt.evidence.knowledge._tables import INTERACTIONS
from tcs_hpt.evidence.roles import Role, role_of
from tcs_hpt.space import SearchSpace, check_value, format_value, nice
from tcs_hpt.spec import CategoricalParameter, Config, ParameterSpec, Scalar, TaskSpec, middle

_SELECTORS = frozenset(("optimizer", "kernel", "booster"))
"""Concepts whose value decides which entries of others hold."""
_RANK: tuple[Role, ...] = (
    *("learning_rate", "optimizer", "capacity", "duration"),
    *("regularization", "sampling", "batch_size", "momentum", "other"),
)
"""Roles in the order in which their notes are worth reading."""
_CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")
_MIDDLE = "middle of the scale"


@dataclass(frozen=True)
class Advice:
    """What is known about one parameter of a task, inside the user's range."""

    parameter: str
    first: Scalar
    """A sensible first value."""
    low: float | None
    """Lower end of the part of the range that is worth trying; None for choices by name."""
    high: float | None
    log: bool
    """Whether the values differ by factors rather than by steps."""
    confidence: Confidence
    source: str
    note: str
    """One short sentence."""


class Knowledge:
    """What is known about a task; made by `knowledge`.

    Attributes:
        advice: By parameter, for those about which something is known.
        silent: By parameter, for the others: why nothing is said.
        family: The kind of model, in words; names the candidates when undecided.
    """

    def __init__(
        self,
        task: TaskSpec,
        inferred: Inferred,
        matches: Mapping[str, Match],
        silent: Mapping[str, str],
        text: str,
    ) -> None:
        self.family = inferred.label
        self._space = SearchSpace(task.params)
        self._matches = dict(matches)
        self._told = told(task, text)
        self._fixed_concepts = fixed_concepts(task, inferred)
        self._names: dict[
            str, str
        ] = {}  # of several parameters of one concept the plainest name stands for it
        for name in sorted(matches, key=lambda n: (len(n), n)):
            self._names.setdefault(matches[name].concept, name)
        if "optimizer" not in self._names and plain_momentum(task, self._names.get("momentum")):
            self._told.setdefault("optimizer", "sgd")
        self.silent = dict(silent)
        self.advice = self._advise()

    # -- uses -----------------------------------------------------------------------------------------------

    def start(self, space: SearchSpace) -> tuple[Config, dict[str, str]]:
        """A first configuration inside `space`, and why each value was taken, in a few words.

        What nothing is known about takes the middle of its scale. `space` may be narrower than the task's.
        """
        values, reasons = self._values(space)
        config = space.completed(values)
        return config, {n: reasons[n] for n in config}

    def prior(self, name: str, value: Scalar, config: Mapping[str, Scalar] | None = None) -> float:
        """How sensible a value is on the parameter's scale, in [0, 1].

        1 inside the range worth trying, falling outside, 0.5 when nothing is known. Never raises.

        Args:
            name: A parameter.
            value: One of its values.
            config: The rest of the configuration, on which the range worth trying may depend.
        """
        if name not in self._matches or name not in self._space.params:
            return 0.5
        others = {n: v for n, v in (config or {}).items() if n != name}
        entry = self._entry(name, others)
        if entry is None:
            return 0.5
        return worth(entry, self._space.params[name], value, self._factor(entry, others))

    def values(self, name: str, count: int) -> tuple[Scalar, ...]:
        """About `count` values that are worth trying, in the order of the scale; of the whole scale when nothing is known.

        Fewer where a step or the choices leave fewer.
        """
        everything = self._space.values(name, count)
        advice = self.advice.get(name)
        if advice is None:
            return everything
        if (
            advice.low is None
            or advice.high is None
            or isinstance(self._space.params[name], CategoricalParameter)
        ):
            return tuple(v for v in everything if self.prior(name, v) >= 0.5) or everything
        low, high = self._space.to_unit(name, advice.low), self._space.to_unit(name, advice.high)
        places = [low + (high - low) * i / (count - 1) for i in range(count)]
        return tuple(dict.fromkeys(nice(self._space, name, self._space.from_unit(name, u)) for u in places))

    def notes(self) -> tuple[str, ...]:
        """Short lines for a prompt, the most important first; parameters of which the same is known share one."""
        shared: dict[str, list[str]] = {}
        for name, advice in sorted(self.advice.items()):
            shared.setdefault(advice.note, []).append(name)
        lines = [(min(map(self._rank, ns)), -1, f"{_joined(ns)}: {note}") for note, ns in shared.items()]
        for place, interaction in enumerate(INTERACTIONS):
            names = {c: self._names[c] for c in interaction.needs if c in self._names}
            if len(names) < len(interaction.needs) or any(n not in self.advice for n in names.values()):
                continue
            families = [self._matches[n].family for n in names.values()]
            if not all(any(f in interaction.families for f in chain(family)) for family in families):
                continue
            if all(self._offers(names[c], wanted) for c, wanted in interaction.among.items()):
                rank = min(self._rank(n) for n in names.values())
                lines.append((rank, place, interaction.text.format(**names)))
        return tuple(text for _, _, text in sorted(lines))

    # -- which entry holds ----------------------------------------------------------------------------------

    def _values(self, space: SearchSpace) -> tuple[Config, dict[str, str]]:
        """First values of all parameters, also of those that end up inactive, and why."""
        values: Config = {}
        reasons: dict[str, str] = {}
        known = [n for n in space.names if n in self._matches]
        selectors = [n for n in known if self._matches[n].concept in _SELECTORS]
        scaled = [
            n for n in known if n not in selectors and any(e.scalings for e in self._matches[n].entries)
        ]
        others = [n for n in space.names if n not in selectors and n not in scaled]
        for group in (selectors, others, scaled):
            settled = dict(values)  # one group's values do not see each other: the order must not matter
            for name in group:
                values[name], reasons[name] = self._first(space, name, settled)
        return values, reasons

    def _advise(self) -> dict[str, Advice]:
        found: dict[str, Advice] = {}
        values, _ = self._values(self._space)
        for name, recognised in self._matches.items():
            others = {n: v for n, v in values.items() if n != name}
            entry = (
                self._entry(name, others) or recognised.entries[0]
            )  # else it holds beside another choice only
            fitted = fit(entry, self._space, name, self._factor(entry, others))
            if isinstance(fitted, str):
                self.silent[name] = fitted
                continue
            limits: tuple[Confidence, ...] = (
                recognised.confidence,
                entry.confidence,
                "low" if fitted.near else "high",
            )
            found[name] = Advice(
                parameter=name,
                first=fitted.value,
                low=fitted.low,
                high=fitted.high,
                log=entry.log,
                confidence=min(limits, key=_CONFIDENCES.index),
                source=entry.source,
                note=_note(entry, fitted),
            )
        return found

    def _entry(self, name: str, config: Mapping[str, Scalar]) -> Entry | None:
        """The entry that holds beside the rest of a configuration."""
        for entry in self._matches[name].entries:
            if all(self._context(concept, config) in values for concept, values in entry.given.items()):
                return entry
        return None

    def _context(self, concept: str, config: Mapping[str, Scalar]) -> str:
        name = self._names.get(concept)
        if name is not None and name in config:
            return listed(concept, config[name])
        if concept in self._fixed_concepts:
            return listed(concept, self._fixed_concepts[concept])
        return self._told.get(concept, UNSAID) if name is None else UNSAID

    def _factor(self, entry: Entry, config: Mapping[str, Scalar]) -> float:
        factor = 1.0
        for scaling in entry.scalings:
            name = self._names.get(scaling.concept, "")
            other = config.get(name, self._fixed_concepts.get(scaling.concept))
            if isinstance(other, int | float) and not isinstance(other, bool):
                factor *= scaling.factor(float(other))
        return factor

    def _first(self, space: SearchSpace, name: str, config: Mapping[str, Scalar]) -> tuple[Scalar, str]:
        recognised = self._matches.get(name)
        if recognised is not None:
            entry = self._entry(name, config) or recognised.entries[0]
            if applies(entry, space.params[name]):
                fitted = fit(entry, space, name, self._factor(entry, config))
                if isinstance(fitted, Fitted):
                    moved = _moved(space.params[name]) if fitted.cut else ""
                    return fitted.value, f"knowledge: {entry.why}{moved}"
        return _middle(space, name), _MIDDLE

    def _rank(self, name: str) -> int:
        return _RANK.index(role_of(name, self._space.names))

    def _offers(self, name: str, wanted: tuple[str, ...]) -> bool:
        parameter = self._space.params[name]
        if not isinstance(parameter, CategoricalParameter):
            return False
        offered = {choice_name(self._matches[name].entries[0], c) for c in parameter.choices}
        return offered.issuperset(wanted)


def _middle(space: SearchSpace, name: str) -> Scalar:
    parameter = space.params[name]
    value = space.tidy(name, middle(parameter))
    return value if check_value(name, parameter, value) is None else middle(parameter)


def _moved(parameter: ParameterSpec) -> str:
    return ", nearest choice" if isinstance(parameter, CategoricalParameter) else ", cut to the range"


def _note(entry: Entry, fitted: Fitted) -> str:
    """What follows the name; with it about twelve words."""
    first = format_value(fitted.value)
    if fitted.near:
        return f"{first} is nearest to what is usual"
    if fitted.low is None or fitted.high is None or fitted.low == fitted.high:
        return f"first {first} ({entry.why})"
    return f"try {format_value(fitted.low)} to {format_value(fitted.high)}, first {first} ({entry.why})"


def _joined(names: list[str]) -> str:
    """At most three names, and how many more."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def knowledge(task: TaskSpec, text: str = "") -> Knowledge:
    """What is known about a task's parameters.

    Args:
        task: What is tuned; its words, names, choices and fixed values tell the kind of model.
        text: What the user said about it besides.
    """
    inferred = infer(task, text)
    found = {name: match(name, parameter, inferred) for name, parameter in task.params.items()}
    matches = {name: m for name, m in found.items() if isinstance(m, Match)}
    silent = {name: m for name, m in found.items() if isinstance(m, str)}
    return Knowledge(task, inferred, matches, silent, text)
