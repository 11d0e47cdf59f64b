"""From the words of a question to what it asks. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "trial",
    "difference",
    "parameter",
    "failures",
    "shortfall",
    "curve",
    "trust",
    "noise",
    "importance",
    "path",
    "next",
    "untried",
    "cost",
    "who",
    "test",
    "best",
    "overview",
    "unknown",
]

_WORDS: tuple[tuple[Kind, str], ...] = (
    ("failures", r"(?:not|n't) work\w*|went wrong|fail\w*|crash\w*|errors?|time[ds]? ?out|out of memory|oom|diverg\w*|invalid|broke\w*"),
    ("shortfall", r"under-?perform\w*|why not better|why (?:\w+ ){0,4}not|why \w+n't|not (?:reach|good|improve)\w*|miss\w*|disappoint\w*|poor\w*|bad|low score|stuck|worse than"),
    ("curve", r"over-?fit\w*|under-?fit\w*|more epochs|longer|train(?:ed)? (?:for )?more|converge\w*|plateau\w*|unstable|stable|learning curves?|early stop\w*"),
    ("trust", r"predict\w*|foresee|foresaw|expect\w*|trust\w*|believe|hit rate|was (?:it|the model|the agent) right|right|wrong|hallucinat\w*"),
    ("noise", r"nois\w*|chance|luck\w*|significan\w*|random(?:ness)?|seeds?|reproduc\w*|confiden\w*|sure|certain"),
    ("importance", r"matter\w*|important|importance|influen\w*|impact\w*|sensitiv\w*|which (?:hyper)?parameters?|biggest effect"),
    ("path", r"how did|improve(?:d|ment)?|helped|what changed|which changes?|led to|steps?|gain\w*"),
    ("next", r"next|should i try|what (?:else|now)|suggest\w*|recommend\w*|further|continue|go on|more trials"),
    ("untried", r"untried|unexplored|untested|not (?:been )?tr(?:y|ied)|left to try|coverage|explor\w*"),
    ("cost", r"how long|time|seconds|minutes|hours|tokens?|memory|cost\w*|expensive|energy|resources?|slow\w*|fast\w*"),
    ("who", r"who|which (?:language )?model|fall-?backs?|expert|agents?|departed|proposed|chose|decided"),
    ("test", r"test (?:score|set|metric|accuracy|error|data)|generali[sz]\w*|unseen|held[- ]out"),
    ("best", r"best|winn\w*|optim(?:al|um)|which (?:config\w*|settings?|values?)|should i use|use|result|final|target|reach\w*"),
    ("overview", r"summar\w*|overview|what happened|tell me|explain|describe|report|story"),
)  # fmt: skip
"""What words speak for a kind; where two have as many, the earlier one is meant."""

_PATTERNS = tuple((kind, re.compile(rf"\b(?:{words})\b")) for kind, words in _WORDS)
_NUMBERS = re.compile(
    r"\b(?:trials?|runs?|experiments?|attempts?)\s*(?:no\.?|number|#)?\s*((?:#?\d+(?:\s*(?:,|and|&|or|vs\.?|to|with|than)\s*)?(?:trial\s*)?)+)"
)
_OWN_SUBJECT: frozenset[Kind] = frozenset({"next", "importance", "untried", "cost"})
"""Kinds that stay what they are when a parameter is named."""
_LONGER = re.compile(r"\bmore epochs|\blonger\b")
"""Asks of the learning curve, although `epochs` may be a parameter."""


@dataclass(frozen=True)
class Asked:
    """A question that was understood, or was not."""

    kind: Kind
    trials: tuple[int, ...] = ()
    """Numbers of trials that it names and that exist."""
    parameters: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    """Numbers of trials that it names and that do not exist."""
    about: Kind = "unknown"
    """What its words alone are about, whatever trials and parameters it names."""


def understand(question: str, parameters: Iterable[str], trials: Collection[int]) -> Asked:
    """What a question asks.

    Args:
        question: In English.
        parameters: Names of the study's parameters.
        trials: Numbers of its trials.
    """
    text = " ".join(question.lower().split())
    named = tuple(p for p in parameters if _names(p, text))
    numbers = _trial_numbers(text)
    known = tuple(n for n in numbers if n in trials)
    missing = tuple(n for n in numbers if n not in trials)
    scores = {kind: len(pattern.findall(text)) for kind, pattern in _PATTERNS}
    kind: Kind = max(scores, key=lambda k: scores[k])
    about = kind = kind if scores[kind] else "unknown"
    if numbers:
        kind = "difference" if len(numbers) > 1 else "trial"
    elif named and kind not in _OWN_SUBJECT and not _LONGER.search(text):
        kind = "parameter"
    return Asked(kind, known, named, missing, about)


def _names(parameter: str, text: str) -> bool:
    """Whether a parameter is named, `batch size` for `batch_size` included."""
    name = parameter.lower()
    words = re.split(r"[_.\-\s]+", name)
    pattern = r"[_.\-\s]*".join(re.escape(w) for w in words)
    also = {"lr": "learning rate", "learning rate": "lr"}.get(" ".join(words))
    return bool(re.search(rf"(?<!\w)(?:{pattern}{f'|{also}' if also else ''})(?!\w)", text))


def _trial_numbers(text: str) -> tuple[int, ...]:
    found = [int(n) for group in _NUMBERS.findall(text) for n in re.findall(r"\d+", group)]
    return tuple(dict.fromkeys(found))
