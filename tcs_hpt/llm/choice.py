"""Which model `auto` stands for: the rule alone, over facts that are given. Pure.

So `doctor` can say what `auto` would do without doing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tcs_hpt.llm.machine import Machine, OllamaState
from tcs_hpt.llm.models import CATALOGUE, DEFAULT_EMBEDDED, LIBRARY, LibraryModel, library_model

ORDER = "the paper's models first, then the larger"
"""How `auto` chooses, in short; `rank` has it in full."""


@dataclass(frozen=True)
class Choice:
    """What `auto` stands for."""

    name: str
    """What `--model` would take, e.g. `ollama:qwen2.5-coder:7b`."""
    reason: str
    """Why, in whole sentences."""


def choose(machine: Machine, server: OllamaState | None) -> Choice:
    """What `auto` stands for on this machine: the best known model of the Ollama server, else the embedded default.

    Of the server's models only those of the catalogue are taken, because what another one is for and whether it can
    answer at all cannot be told from its name; they are named in the reason.

    Args:
        machine: Where the models run.
        server: The Ollama server; None when there is none.
    """
    embedded = f"the embedded {DEFAULT_EMBEDDED} answers; it needs no server"
    name = CATALOGUE[DEFAULT_EMBEDDED].full_name
    if server is None:
        return Choice(name, f"No Ollama server answers, so {embedded}.")
    its = f"the Ollama server ({server.version})"
    if server.problem:
        problem = server.problem.rstrip(".")
        return Choice(name, f"{_capital(its)} cannot be used: {problem}. So {embedded}.")
    found = [(tag.name, model) for tag in server.models if (model := library_model(tag.name)) is not None]
    fitting = [(tag, model) for tag, model in found if fits(tag, model, machine, server)]
    quick = [(tag, model) for tag, model in fitting if is_quick(model, machine, server)]
    others = _passed_over(
        unknown=[tag.name for tag in server.models if library_model(tag.name) is None],
        too_large=[tag for tag, model in found if (tag, model) not in fitting],
        too_slow=[tag for tag, model in fitting if (tag, model) not in quick] if quick else [],
    )
    if not fitting:
        has = "no known model that fits into the memory" if server.models else "no models yet"
        return Choice(name, f"{_capital(its)} has {has}, so {embedded}.{others}")
    tag, _ = min(fitting, key=lambda pair: rank(pair[1], machine, server))
    if not quick:
        why = "the smallest of its known models, all of which may take minutes per answer without a GPU"
    elif len(quick) == 1:
        why = "its only known model that suits this machine"
    else:
        why = f"the first of its {len(quick)} known models that suit this machine ({ORDER})"
    return Choice(f"ollama:{tag}", f"{_capital(its)} has {tag}, {why}.{others}")


def better(machine: Machine, server: OllamaState | None) -> LibraryModel | None:
    """The model that `auto` would choose if the server had all of the catalogue.

    None when it has that one or a better one, when none fits, and when the server is on another machine, whose memory
    is not known.
    """
    if server is not None and not server.local:
        return None
    possible = [
        m for m in LIBRARY.values() if fits(m.name, m, machine, server) and is_quick(m, machine, server)
    ]
    if not possible:
        return None
    best = min(possible, key=lambda model: rank(model, machine, server))
    for tag in server.models if server else ():
        model = library_model(tag.name)
        if (
            model is not None
            and fits(tag.name, model, machine, server)
            and rank(model, machine, server) <= rank(best, machine, server)
        ):
            return None
    return best


def rank(model: LibraryModel, machine: Machine, server: OllamaState | None) -> tuple[float, ...]:
    """Where a model comes in the order of `auto`; the smallest first.

    What answers within about a minute comes before what does not, and there the smallest is best. Among the quick
    ones: the paper's models, then those that need not think before they answer, then the larger (by whole
    gigabytes), then those made to answer directly (coders and instruct models).
    """
    if not is_quick(model, machine, server):
        return (1, model.size)
    return (
        0,
        not model.paper,
        model.thinks == "always",
        -round(model.size / 1e9),
        model.thinks != "never",
        -model.size,
    )


def fits(tag: str, model: LibraryModel, machine: Machine, server: OllamaState | None) -> bool:
    """Whether the server could hold a model now; taken for granted where its memory is not known."""
    if server is not None and (not server.local or tag in server.loaded):
        return True  # what is loaded has its memory already
    return machine.fits(model.memory)


def is_quick(model: LibraryModel, machine: Machine, server: OllamaState | None) -> bool:
    """Whether a model that fits would answer within about a minute; taken for granted on another machine."""
    if server is not None and not server.local:
        return True
    if server is not None and model.name in server.loaded and machine.gpus:
        return True  # it has its memory already
    return machine.is_quick(model.memory, model.size)


def _passed_over(*, unknown: list[str], too_large: list[str], too_slow: list[str]) -> str:
    """Sentences about what the server has besides; each begins with a space."""
    sentences = []
    if too_large:
        sentences.append(f" More than the memory that is free: {listed(too_large)}.")
    if too_slow:
        sentences.append(f" May take minutes per answer here: {listed(too_slow)}.")
    if unknown:
        sentences.append(f" Not in the catalogue: {listed(unknown)}.")
    if sentences:
        sentences.append(" Any of them can be named, as ollama:NAME.")
    return "".join(sentences)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names as part of a sentence, the first few of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
