"""What a person says about a script, as fields of its manifest: a small language model proposes, code decides.

Nothing that the model writes is trusted: the metric has to be one that was found in the script, a word of the user's own text goes before the model's
choice, an amount of memory has to stand in the text, and memory of a GPU never becomes a limit of the process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tcs_hpt.agents.answers import read_object
from tcs_hpt.errors import ModelError
from tcs_hpt.evidence.roles import snake_case
from tcs_hpt.importing import goals
from tcs_hpt.importing.metric_found import MetricFound
from tcs_hpt.llm import ChatModel, ChatRequest
from tcs_hpt.prompts import render
from tcs_hpt.spec import Direction

PRIORITIES = ("score", "speed", "memory", "small model", "robustness")
_WORDS: Mapping[str, str] = {
    "score": "The score matters most.",
    "speed": "Fast training matters most.",
    "memory": "Little memory matters most.",
    "small model": "A small model matters most.",
    "robustness": "Stable results matter most.",
}
_ATTEMPTS = 2
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(GiB|GB|MiB|MB|G|gigabytes?)\b", re.IGNORECASE)
_GPU = re.compile(r"gpu|vram|cuda|graphics|video|rtx|gtx|\b[avhl]\d{2,3}\b|\bt4\b|card", re.IGNORECASE)
_ASKED = re.compile(
    r"\b(accuracy|acc|f1|auc|auroc|roc[- ]auc|precision|recall|rmse|mse|mae|mape|r2|perplexity|ppl|log[- ]?loss|loss|rouge\w*|bleu|ndcg|iou|dice|error)\b",
    re.IGNORECASE,
)
_SMALL_WORDS = frozenset(
    ("the", "and", "for", "with", "from", "our", "your", "into", "that", "this", "model", "data")
)
_SAME = {"acc": "accuracy", "auroc": "auc", "roc_auc": "auc", "ppl": "perplexity", "log_loss": "logloss"}
_NEGATED = re.compile(r"\b(not|never|no|than|over|instead of)\W+(?:(?!but\b)\w+\W+){0,2}$", re.IGNORECASE)


@dataclass(frozen=True)
class Field:
    """One field, and where it comes from."""

    name: Literal["title", "description", "metric", "direction", "priority", "memory"]
    value: str
    source: str


@dataclass(frozen=True)
class Description:
    """What came of a person's words."""

    fields: tuple[Field, ...]
    refused: tuple[str, ...] = ()
    """What was said or answered and is not taken, a sentence each."""
    metric: str = ""
    direction: Direction | None = None
    title: str = ""
    description: str = ""
    priorities: str = ""
    memory_mb: int | None = None


def without_model(text: str, found: Sequence[MetricFound], reason: str) -> Description:
    """What the text tells without a model: it becomes the description, and a metric or memory that it names counts."""
    told = _from_text(text, found)
    fields = (Field("description", _flat(text), f"your words; {reason}"), *told.fields)
    return Description(
        fields,
        told.refused,
        metric=told.metric,
        description=_flat(text),
        memory_mb=told.memory_mb,
    )


def ask(
    model: ChatModel, text: str, found: Sequence[MetricFound], *, script: str, about: str = "", seed: int = 0
) -> Description:
    """What the text tells, read by a model and checked.

    Args:
        model: Whom to ask.
        text: The user's words.
        found: What the script measures.
        script: Its file name.
        about: What the script says about itself.
        seed: Of the model.
    """
    names = [m.name for m in found]
    prompt = render(
        "describe.v1",
        metrics=names or ["none"],
        priorities=PRIORITIES,
        script=script,
        about=about[:300],
        text=text[:1500],
    )
    for attempt in range(_ATTEMPTS):
        request = ChatRequest(
            messages=prompt.messages,
            max_tokens=300,
            schema=_schema(names),
            temperature=0.2,
            seed=seed + attempt,
            lane="describe",
        )
        try:
            reply = model.complete(request)
        except ModelError as error:
            return without_model(text, found, f"the model failed: {error.message}")
        answer = read_object(reply.text).value
        if answer is not None:
            return _checked(answer, text, found, model.name, f"{text} {about}")
    return without_model(text, found, "the model gave no answer that can be read")


def _schema(names: Sequence[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": {"type": "string", "maxLength": 80},
        "description": {"type": "string", "maxLength": 200},
        "metric": {"enum": list(names) or ["none"]},
        "direction": {"enum": list(get_args(Direction))},
        "priority": {"enum": list(PRIORITIES)},
        "memory": {"type": "string", "maxLength": 20},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _checked(
    answer: Mapping[str, Any], text: str, found: Sequence[MetricFound], model: str, known: str
) -> Description:
    by = f"{model}, from your words"
    told = _from_text(text, found)
    fields: list[Field] = []
    refused = list(told.refused)
    title = _flat(answer.get("title"))[:80]
    if title and not _speaks_of(title, known):
        refused.append(f"{model} called it {title!r}, of which you said nothing; it is not taken.")
        title = ""
    if title:
        fields.append(Field("title", title, by))
    # The user's own words stay: a model's sentence may lose what matters.
    description = _flat(text)
    fields.append(Field("description", description, "your words"))
    metric = told.metric
    names = {m.name.lower(): m.name for m in found}
    said = _flat(answer.get("metric"))
    if metric:
        fields += [f for f in told.fields if f.name == "metric"]
    elif said.lower() in names and not names[said.lower()].startswith("test_"):
        metric = names[said.lower()]
        fields.append(Field("metric", metric, f"{by}; the script writes it"))
    elif said and said != "none":
        refused.append(f"{model} chose the metric {said}, which the script does not write; it is not taken.")
    direction = goals.measure(metric) if metric else None
    answered = answer.get("direction")
    if direction is not None:
        fields.append(Field("direction", direction, f"the name {metric}"))
        if answered in get_args(Direction) and answered != direction:
            refused.append(f"{model} said to {answered} {metric}; its name says {direction}.")
    elif metric and answered in get_args(Direction):
        direction = "maximize" if answered == "maximize" else "minimize"
        fields.append(Field("direction", direction, by))
    priority = answer.get("priority")
    priorities = ""
    if isinstance(priority, str) and priority in _WORDS:
        priorities = _WORDS[priority]
        fields.append(Field("priority", priority, by))
    fields += [f for f in told.fields if f.name == "memory"]
    amount = _flat(answer.get("memory"))
    if _AMOUNT.search(amount) and not _stands_in(amount, text):
        refused.append(f"{model} named {amount} of memory, which is not in your words; it is not taken.")
    return Description(
        tuple(fields), tuple(refused), metric, direction, title, description, priorities, told.memory_mb
    )


def _speaks_of(title: str, known: str) -> bool:
    """Whether at least half of a title's words stand in what is known: a small model may repeat its instructions."""
    words = {w for w in re.findall(r"\w+", title.lower()) if len(w) > 2 and w not in _SMALL_WORDS}
    there = set(re.findall(r"\w+", known.lower()))
    return bool(words) and 2 * len(words & there) >= len(words)


def _from_text(text: str, found: Sequence[MetricFound]) -> Description:
    """What the words themselves name: a metric and an amount of memory."""
    fields: list[Field] = []
    refused: list[str] = []
    metric, asked = _named_metric(text, found)
    if metric:
        fields.append(Field("metric", metric, f"you wrote {asked}; the script writes it"))
    elif asked and found:
        listed = ", ".join(m.name for m in found)
        refused.append(f"You wrote {asked}, but the script writes no such metric; it writes {listed}.")
    memory = None
    amount = _AMOUNT.search(text)
    if amount is not None:
        if _of_gpu(text, amount):
            refused.append(
                f"{amount[0]} is memory of a GPU, which limits no process here; it stays in the description, so that proposals can respect it."
            )
        else:
            memory = _megabytes(amount)
            fields.append(Field("memory", f"{memory} MiB", f"you wrote {amount[0]}"))
    return Description(tuple(fields), tuple(refused), metric=metric, memory_mb=memory)


def _named_metric(text: str, found: Sequence[MetricFound]) -> tuple[str, str]:
    """The first metric that the text names and the script writes, the best to tune on; and the word, also when it writes none."""
    exact = next(
        (
            m.name
            for m in found
            if re.search(rf"\b{re.escape(m.name)}\b", text) and not m.name.startswith("test_")
        ),
        "",
    )
    if exact:
        return exact, exact
    first = ""
    for match in _ASKED.finditer(text):
        if _NEGATED.search(text[: match.start()]):
            continue
        word = re.sub(r"[- ]", "_", match[0].lower())
        wanted = {word, _SAME.get(word, word), *(k for k, v in _SAME.items() if v == word)}
        for metric in found:
            plain = f"_{snake_case(metric.name)}_"
            if any(f"_{w}_" in plain for w in wanted) and goals.split(metric.name) != "test":
                return metric.name, match[0]
        first = first or match[0]
    return "", first


def _of_gpu(text: str, amount: re.Match[str]) -> bool:
    """Whether the words around an amount speak of a GPU."""
    clause_start = max(text.rfind(c, 0, amount.start()) for c in ",;.") + 1
    ends = [e for c in ",;." if (e := text.find(c, amount.end())) >= 0]
    return _GPU.search(text[clause_start : min(ends, default=len(text))]) is not None


def _megabytes(amount: re.Match[str]) -> int:
    factor = 1 if amount[2].lower().startswith("m") else 1024
    return max(1, round(float(amount[1]) * factor))


def _stands_in(amount: str, text: str) -> bool:
    said = _AMOUNT.search(amount)
    return said is not None and any(_megabytes(m) == _megabytes(said) for m in _AMOUNT.finditer(text))


def _flat(value: object) -> str:
    text = " ".join(str(value).split()) if isinstance(value, str) else ""
    return "".join(c for c in text if c.isprintable())[:600]
