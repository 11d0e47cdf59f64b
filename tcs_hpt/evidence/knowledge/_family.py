"""Which kind of model a task trains, read off its words, its parameters' names and their choices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tcs_hpt.evidence.knowledge._entry import LABELS, PARENTS, Confidence, Family, chain
from tcs_hpt.evidence.knowledge._names import owner, plain, spellings
from tcs_hpt.evidence.knowledge._tables import NAMES
from tcs_hpt.spec import CategoricalParameter, ParameterSpec, TaskSpec

_WORDS: Mapping[Family, str] = {
    "neural": r"neural|perceptron|\bmlp\b|deep learning|pytorch|\bkeras\b|\blstm\b|autoencoder|\bnetworks?\b",
    "vision": r"resnet|\bcnns?\b|(?<!graph )convolutional (neural )?net|\bvgg|efficientnet|mobilenet|densenet|cifar|imagenet",
    "finetuning": r"\b\w*bert\w*\b|\bxlnet\b|\belectra\b|\bt5\b|(pre-?trained|fine-?tun\w*)[^.]{0,40}(transformer|language model|text|llm)",
    "lora": r"\bq?lora\b|low-rank adapt|\bpeft\b",
    "graph": r"\bgraph\w*[ -](convolution|neural|attention|network)|\bgcn\w*|\bgat\b|graphsage|\bgnns?\b|citeseer",
    "recommender": r"deepfm|factori[sz]ation machine|click-?through|\bctr\b|recommend|movielens|wide ?(and|&) ?deep",
    "sklearn_mlp": r"mlp(classifier|regressor)",
    "boosting": r"boosting|boosted trees|\bgbdt\b",
    "xgboost": r"xg-?boost|\bgbtree\b|\bxgb",
    "lightgbm": r"light-?gbm|\blgbm?\b|\bgoss\b",
    "catboost": r"catboost",
    "gbm": r"(?<!hist)gradient-?boosting(classifier|regressor)|\bgbrt\b|(?<!light)\bgbm\b",
    "hist_gbm": r"hist-?gradient-?boosting|histogram-?based gradient",
    "forest": r"random[ _-]?forest|extra[ _-]?trees|\brf\b",
    "svm": r"support[ _-]vector|\bsv[mcr]s?\b|\brbf\b",
    "linear": r"linear (model|regression|classifier)",
    "logistic": r"logistic[ _-]?regression|\blogreg\b",
    "ridge": r"\bridge\b",
    "lasso": r"\blasso\b|elastic[ _-]?net",
    "sgd_linear": r"sgd(classifier|regressor)",
    "knn": r"nearest[ _-]neighbou?r|\bknn\b|\bk-nn\b|kneighbors",
}
_COMPILED = {family: re.compile(pattern) for family, pattern in _WORDS.items()}
_OPTIMIZERS = frozenset(("adam", "adamw", "rmsprop", "nadam", "radam"))
_NAMED, _CHOSEN = 3.0, 1.5
"""Weight of a family that is named in words, and of choices that only it has. A name that only it knows counts 1."""
_ENOUGH, _AHEAD, _CLEAR = 0.5, 0.25, 1.5
"""Least evidence; least lead over the next family; lead that leaves no doubt."""


@dataclass(frozen=True)
class Inferred:
    """The kind of model, or which it might be."""

    family: Family | None
    confidence: Confidence
    candidates: tuple[Family, ...]
    """When undecided: the families that the evidence allows; may be empty."""

    @property
    def label(self) -> str:
        """In words."""
        if self.family is not None:
            return LABELS[self.family]
        return " or ".join(LABELS[f] for f in self.candidates) or "unknown"


def root(family: Family) -> Family:
    """The family's topmost ancestor."""
    return chain(family)[-1]


def named(text: str) -> frozenset[Family]:
    """Families that a text names."""
    lowered = text.lower()
    return frozenset(f for f, pattern in _COMPILED.items() if pattern.search(lowered))


def known_in(name: str) -> frozenset[Family]:
    """Families whose own table has the name, under its most literal spelling that any has."""
    for spelling in spellings(name):
        found = frozenset(f for f, names in NAMES.items() if spelling in names)
        if found:
            return found
    return frozenset()


def infer(task: TaskSpec, text: str = "") -> Inferred:
    """The family of the model that a task trains.

    Args:
        task: Its title, description, command, names and choices are the evidence.
        text: What else was said about it.
    """
    own: dict[Family, float] = {}
    said = " ".join((task.title, task.description, task.name.replace("_", " "), " ".join(task.command), text))
    for family in named(said):
        own[family] = own.get(family, 0.0) + _NAMED
    for name, parameter in task.params.items():
        if not _condition(parameter):  # one of several models on offer says nothing about the task's
            _count_name(own, name)
        if isinstance(parameter, CategoricalParameter):
            _count_choices(own, parameter.choices)
    for name, value in task.fixed.items():
        _count_name(own, name)
        _count_choices(own, (value,))
    return _decide(own)


def _count_name(own: dict[Family, float], name: str) -> None:
    families = known_in(name)
    roots = {root(f) for f in families}
    weight = 0.25 if len(name) == 1 and name.islower() else 1.0  # x, r and k may mean anything
    for top in roots:
        below = [f for f in families if root(f) == top]
        holder = below[0] if len(below) == 1 else top  # known to one child only: speaks for that child
        own[holder] = own.get(holder, 0.0) + weight / len(roots)
    prefix = owner(name)
    if prefix is not None:
        own[prefix] = own.get(prefix, 0.0) + 1


def _count_choices(own: dict[Family, float], choices: Iterable[object]) -> None:
    texts = [c for c in choices if isinstance(c, str)]
    if any(plain(t) in _OPTIMIZERS for t in texts):
        own["neural"] = own.get("neural", 0.0) + _CHOSEN
    families = {f for t in texts for f in named(t)}
    if len({root(f) for f in families}) == 1:  # several kinds of model on offer say nothing about which it is
        for family in families:
            own[family] = own.get(family, 0.0) + _CHOSEN


def _decide(own: Mapping[Family, float]) -> Inferred:
    totals: dict[Family, float] = {}
    for family, weight in own.items():
        totals[root(family)] = totals.get(root(family), 0.0) + weight
    ranked = sorted(totals, key=lambda f: (-totals[f], f))
    if not ranked or totals[ranked[0]] < _ENOUGH:
        return Inferred(None, "low", tuple(sorted(ranked)))
    lead = totals[ranked[0]] - (totals[ranked[1]] if len(ranked) > 1 else 0.0)
    if lead < _AHEAD:
        tied = [f for f in ranked if totals[f] > totals[ranked[0]] - _AHEAD]
        return Inferred(None, "low", tuple(sorted(tied)))
    confidence: Confidence = "high" if lead >= _CLEAR else "medium"
    return Inferred(_descend(own, ranked[0]), confidence, ())


def _descend(own: Mapping[Family, float], family: Family) -> Family:
    """The most special family that the evidence singles out."""
    while True:
        below = {
            child: sum(w for f, w in own.items() if child in chain(f))
            for child, parent in PARENTS.items()
            if parent == family
        }
        best = sorted(below, key=lambda f: (-below[f], f))
        if not best or below[best[0]] < _ENOUGH or (len(best) > 1 and below[best[0]] == below[best[1]]):
            return family
        family = best[0]


def family_of(name: str, parameter: ParameterSpec, inferred: Inferred) -> tuple[Family | None, Confidence]:
    """The family that one parameter belongs to; a prefix or a condition may name another one than the task's.

    Without either, and with the task undecided, a name that only one kind of model knows decides for itself.
    """
    prefix = owner(name)
    if prefix is not None and (inferred.family is None or root(prefix) != root(inferred.family)):
        return prefix, "medium"
    condition = _condition(parameter)
    if condition:
        return max(condition, key=lambda f: (len(chain(f)), f)), "high"
    if inferred.family is not None:
        return inferred.family, inferred.confidence
    roots = {root(f) for f in known_in(name)}
    return (roots.pop(), "low") if len(roots) == 1 else (None, "low")


def _condition(parameter: ParameterSpec) -> frozenset[Family]:
    """The families, all of one kind, that a parameter's condition names; empty if it names none."""
    for values in parameter.when.values():
        families = [named(str(v)) for v in values]
        common = frozenset.intersection(*families) if families else frozenset()
        if len({root(f) for f in common}) == 1:
            return common
    return frozenset()
