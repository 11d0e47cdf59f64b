"""Metrics among the lines that a script prints, with a pattern made of the format itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tcs_hpt.evidence.roles import snake_case
from tcs_hpt.importing import goals
from tcs_hpt.importing.metric_found import MetricFound, Place
from tcs_hpt.importing.printing import Line, Piece, Slot

NUMBER = r"[-+]?[\d.]*\d(?:e[-+]?\d+)?|nan|-?inf"
"""A number as Python prints it; what follows it, such as a full stop, is not part of it."""
_WRAPPED = r"(?:[\w.]+\()?"
"""`tensor(0.5)` and `np.float64(0.5)`, when a value is printed as it is."""
_EPOCH = re.compile(r"(^|_)(epoch|epochs|ep|epoch_idx|round|iteration|iter|it|step|generation)(_|$|\d)")
_NO_COUNT = re.compile(r"time|took|sec|best")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_@/.-]*")
_LONGEST_LABEL = 3
_LONGEST_VARIABLE = 5
_FILLER = frozenset(("the", "of", "is", "with", "a", "an", "on", "at", "after", "for", "and", "our", "final", "mean", "average", "avg", "overall", "current", "set", "got", "model", "now", "best", "so", "far"))  # fmt: skip
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_BEST = re.compile(r"\bbest\b", re.IGNORECASE)


@dataclass
class _Named:
    """A slot that is a metric or the epoch, and where it stands."""

    place: int
    name: str
    epoch: bool = False
    counter: str = ""
    """Of an epoch: the word for it."""


def find(printed: Sequence[Line]) -> list[MetricFound]:
    """Every metric in the lines, in their order."""
    return [m for line in printed for m in _of(line)]


def headline(printed: Sequence[Line]) -> str:
    """The pattern of a line that says which epoch begins and nothing else, `Epoch 3/10`; empty without one."""
    for line in printed:
        named = _named(line.pieces)
        if len(named) == 1 and named[0].counter == "epoch" and line.looped and not line.inner:
            return _anchored(line, _pattern(line.pieces, named))
    return ""


def _of(line: Line) -> list[MetricFound]:
    named = _named(line.pieces)
    metrics = [n for n in named if not n.epoch]
    told = any(isinstance(p, str) and _WORD.search(_plain(p)) for p in line.pieces)
    if not metrics or not (told or len(metrics) < len(named)):
        return []  # numbers alone cannot be told from others
    pattern = _anchored(line, _pattern(line.pieces, named))
    per_epoch = any(n.epoch for n in named)
    text = "".join(p for p in line.pieces if isinstance(p, str))
    return [
        MetricFound(
            n.name,
            Place(line.stream, "pattern"),
            line.number,
            pattern=pattern,
            counter=next((e.counter for e in named if e.epoch), ""),
            per_epoch=per_epoch or (line.looped and not line.inner),
            inner=line.inner,
            best=bool(_BEST.search(text)) and not line.looped,
        )
        for n in metrics
    ]


def _named(pieces: Sequence[Piece]) -> list[_Named]:
    found: list[_Named] = []
    label = ""
    line_split: goals.Split = ""
    taken: set[str] = set()
    for place, piece in enumerate(pieces):
        if isinstance(piece, str):
            piece = _plain(piece)
            words = re.split(r"[|;]|,(?!\d)|\s{2,}|\t|(?<=[\])])", piece)
            last = (
                words[-1]
                if _WORD.search(words[-1])
                else (piece if _WORD.search(piece) and len(words) == 1 else "")
            )
            label = last or (label if not _WORD.search(piece) else _last_with_word(words))
            line_split = goals.split(_joined_words(piece)) or line_split
            continue
        own = snake_case(re.sub(r"\W+", "_", piece.expression))
        counter = _counter(label, own, pieces, place)
        if counter and not any(n.epoch for n in found):
            found.append(_Named(place, "epoch", epoch=True, counter=counter))
            label = ""
            continue
        if _is_share(pieces, place):
            continue
        name = _metric_name(label, own, line_split)
        if name and name not in taken:
            taken.add(name)
            found.append(_Named(place, name))
            label = ""
    return found


def _anchored(line: Line, pattern: str) -> str:
    """The pattern so that it begins where the line or a word does."""
    first = line.pieces[0]
    if isinstance(first, str) and _ESCAPE.match(first):
        return pattern  # the end of the colour is a letter
    if line.alone and first == first_text(line.pieces):
        return rf"^\s*{pattern}"
    return rf"\b{pattern}" if re.match(r"\w", pattern) else pattern


def _plain(text: str) -> str:
    """Without the colours of a terminal."""
    return _ESCAPE.sub("", text)


def first_text(pieces: Sequence[Piece]) -> str:
    """The text before the first slot, when it holds a word; else empty."""
    first = pieces[0]
    return first if isinstance(first, str) and _WORD.search(first) else ""


def _last_with_word(words: Sequence[str]) -> str:
    return next((w for w in reversed(words) if _WORD.search(w)), "")


def _joined_words(text: str) -> str:
    return "_".join(re.sub(r"\W+", "_", snake_case(w)) for w in _WORD.findall(text.replace("²", "2")))


def _counter(label: str, own: str, pieces: Sequence[Piece], place: int) -> str:
    """The word of what a slot counts: `epoch`, `step`; empty when it counts nothing."""
    words = _joined_words(label)
    following = pieces[place + 1] if place + 1 < len(pieces) else ""
    if isinstance(following, str) and following.lstrip().startswith(("s ", "sec")):
        return ""  # seconds
    if words:
        match = _EPOCH.search(words)
        other = goals.measure(words) is not None or _NO_COUNT.search(words) is not None
    else:
        match, other = _EPOCH.search(own), goals.measure(own) is not None
    return match[2].rstrip("s") if match and not other else ""


def _is_share(pieces: Sequence[Piece], place: int) -> bool:
    """Whether it is one of the two numbers of `12/20`."""
    before = pieces[place - 1] if place else ""
    after = pieces[place + 1] if place + 1 < len(pieces) else ""
    follows = place + 2 < len(pieces) and isinstance(pieces[place + 2], Slot)
    preceded = place >= 2 and isinstance(pieces[place - 2], Slot)
    return (isinstance(after, str) and re.fullmatch(r"\s*(/|of)\s*", after) is not None and follows) or (
        isinstance(before, str) and re.fullmatch(r"\s*(/|of)\s*", before) is not None and preceded
    )


def _metric_name(label: str, own: str, line_split: goals.Split) -> str:
    """The metric's name: what stands before the number, else the variable; with the data it speaks of, if any of them tells."""
    words = [w for w in _joined_words(label).split("_") if w]
    kept = [w for w in words if w not in _FILLER] or words
    written = "_".join(kept[-_LONGEST_LABEL:])
    variable = "_".join(
        w
        for w in own.split("_")
        if w
        not in ("item", "mean", "np", "float", "round", "self", "cpu", "numpy", "detach", "", "sum", "len")
    )
    if goals.measure(written) is None:
        if goals.measure(variable) is None or len(variable.split("_")) > _LONGEST_VARIABLE:
            return ""  # a whole computation is no name
        if written and len(kept) > _LONGEST_LABEL:
            written = ""
        base = _core(variable)
    else:
        base = _core(written)
    data = goals.split(_joined_words(label)) or goals.split(variable) or line_split
    if data and not goals.split(base):
        base = {"validation": "val", "train": "train", "test": "test"}[data] + "_" + base
    return base[:64]


def _core(name: str) -> str:
    """A name of at most a few words, beginning with a letter, that a pattern can hold as a group."""
    plain = re.sub(r"\W+", "_", name).strip("_").lower()
    parts = [p for p in plain.split("_") if p]
    while (
        len(parts) > 1
        and goals.measure("_".join(parts[1:])) is not None
        and not goals.split(parts[0])
        and len(parts) > 3
    ):
        parts = parts[1:]
    text = "_".join(parts)
    return text if text and not text[0].isdigit() else f"m_{text}"


def _pattern(pieces: Sequence[Piece], named: Sequence[_Named]) -> str:
    """The line up to the last named slot as a regular expression."""
    wanted = {n.place: n for n in named}
    last = max(wanted)
    first = min(wanted)
    parts: list[str] = []
    for place in range(last + 1):
        piece = pieces[place]
        if isinstance(piece, str):
            parts.append(_escaped(piece))
        elif place in wanted:
            named_slot = wanted[place]
            digits = r"\d+" if named_slot.epoch else NUMBER
            wrapped = _WRAPPED if not piece.form and not named_slot.epoch else ""
            # Widths pad with blanks: `{loss:8.4f}`.
            blanks = r"\s*" if not parts or not parts[-1].endswith((r"\s+", r"\s*")) else ""
            parts.append(f"{blanks}{wrapped}(?P<{named_slot.name}>{digits})")
        elif place > first or any(isinstance(p, str) and _WORD.search(p) for p in pieces[:place]):
            parts.append(".*?")
    pattern = "".join(parts)
    pattern = re.sub(r"(\.\*\?|\\s\*|\\s\+)(\s*(\.\*\?|\\s\*|\\s\+))+", _merge_blanks, pattern)
    return re.sub(r"^(\\s[*+]|\.\*\?)+", "", pattern)


def _merge_blanks(found: re.Match[str]) -> str:
    text = found[0]
    if ".*?" in text:
        return ".*?"
    return r"\s+" if r"\s+" in text else r"\s*"


def _escaped(text: str) -> str:
    """A text of the format, forgiving about how many blanks there are; the colours of a terminal may be there or not."""
    return r"(?:\x1b\[[\d;]*m)*".join(_spaced(part) for part in _ESCAPE.split(text))


def _spaced(text: str) -> str:
    parts = [p for p in re.split(r"(\s+)", text) if p]
    escaped = "".join(r"\s+" if p.isspace() else re.escape(p) for p in parts)
    return re.sub(r"\\([-#=&~])", r"\1", escaped)  # need no backslash outside of brackets
