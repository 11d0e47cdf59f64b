"""What the facts about a machine mean for someone who wants to tune on it. Pure: `doctor` gathers and prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.llm.choice import better, choose
from tcs_hpt.llm.machine import Machine, OllamaState
from tcs_hpt.llm.models import CATALOGUE, DEFAULT_EMBEDDED, KnownModel, LibraryModel

Level: TypeAlias = Literal["ok", "note", "warning", "error"]

PURPOSES = {
    "cmaes": "method cmaes",
    "embedded": "a model inside the process, without a server",
    "export": "Parquet files",
    "ga": "method ga",
    "gp": "method gp",
    "graph": "task gcn_cora",
    "mlflow": "export to MLflow",
    "postgresql": "a PostgreSQL store",
    "transformers": "models of Transformers",
}
"""What an extra is for, in a few words; one that is not here is named without."""
WHY_LARGER = "A larger model gives better reasons, not surely better scores."
TUNE = "tcs-hpt tune mlp_digits"
LOW_DISK_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Facts:
    """What was found; measured once, so that all sentences speak of the same moment."""

    version: str
    python: str
    system: str
    machine: Machine
    engines: dict[str, str | None]
    """Version by package, None for one that is missing."""
    missing_extras: dict[str, tuple[str, ...]]
    """By extra, the packages of it that are missing."""
    models_folder: str
    disk_free: int | None
    """Where the models folder is, or will be [bytes]; None when it cannot be looked at."""
    files: tuple[str, ...]
    """Embedded models of the catalogue that are here."""
    server: OllamaState | None
    models_problem: str = ""
    """Why the models folder cannot be looked at; empty when it can."""
    server_problem: str = ""
    """Why it could not even be asked; `auto` then fails for the same reason."""
    ollama_program: bool = False
    """Whether the `ollama` command is on this machine."""
    store: str = ""
    """The database, without its password."""
    studies: int | None = None
    """How many it holds; None for one that does not exist yet."""
    store_problem: str = ""
    """Why it cannot be opened; empty when it can."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    text: str
    level: Level = "ok"
    advice: str = ""
    """What to do, where something can be done."""
    commands: tuple[str, ...] = ()
    """How, one after the other."""


def findings(facts: Facts) -> list[Finding]:
    """What the facts mean for someone who wants to tune, in the order of reading. Pure."""
    return [
        _processor(facts),
        _memory(facts),
        *_gpus(facts),
        _disk(facts),
        _engines(facts),
        *_extras(facts),
        _ollama(facts),
        _store(facts),
        *_model(facts),
    ]


def closing(found: list[Finding]) -> str:
    """The last line: whether tuning works here. Pure."""
    if any(finding.level == "error" for finding in found):
        return "Tuning cannot work here yet: see the lines marked x."
    for finding in found:
        if finding.topic == "model" and finding.level != "ok":
            named = next((c for c in finding.commands if c.startswith(TUNE)), "")
            if named:
                return f"Tuning works here with a model that is named: {named}"
            return f"Tuning works here without a model only: {TUNE} --method expert"
    return f"Tuning works here: {TUNE}"


def _processor(facts: Facts) -> Finding:
    cores = facts.machine.cores
    return Finding("processor", f"{cores} core{'s' if cores != 1 else ''} for this process")


def _memory(facts: Facts) -> Finding:
    free, total = facts.machine.memory_available, facts.machine.memory_total
    text = f"{_gb(free)} of {_gb(total)} free"
    least = CATALOGUE[DEFAULT_EMBEDDED].memory
    if free < least:
        return Finding(
            "memory", text, "warning", f"Even the smallest model needs {_gb(least)}: close other programs."
        )
    return Finding("memory", text)


def _gpus(facts: Facts) -> list[Finding]:
    if facts.machine.unified:
        return [Finding("GPU", "Apple's, which shares the memory above")]
    if not facts.machine.gpus:
        return [Finding("GPU", "none found (NVIDIA's and Apple's are looked for)", "note")]
    found = [
        Finding("GPU", f"{gpu.name}, {_gb(gpu.memory_free)} of {_gb(gpu.memory_total)} free")
        for gpu in facts.machine.gpus
    ]
    torch = facts.engines.get("torch")
    if torch and torch.endswith("+cpu"):
        found.append(
            Finding(
                "PyTorch",
                f"{torch} cannot use the GPU",
                "warning",
                "Training that uses PyTorch would run on the processor: install a build with CUDA, see "
                "https://pytorch.org/get-started.",
            )
        )
    return found


def _disk(facts: Facts) -> Finding:
    if facts.disk_free is None:
        return Finding(
            "disk",
            f"the models folder {facts.models_folder} cannot be read: {facts.models_problem}",
            "warning",
            "Check its permissions, or name another folder in TCS_HPT_MODELS_DIR.",
        )
    text = f"{_gb(facts.disk_free)} free for models in {facts.models_folder}"
    if facts.disk_free < LOW_DISK_BYTES:
        return Finding(
            "disk", text, "warning", "Free some space, or name another folder in TCS_HPT_MODELS_DIR."
        )
    return Finding("disk", text)


def _engines(facts: Facts) -> Finding:
    here = [f"{name} {version}" for name, version in facts.engines.items() if version]
    return Finding("engines", ", ".join(here) or "none")


def _extras(facts: Facts) -> list[Finding]:
    if not facts.missing_extras:
        return []
    names = ", ".join(
        f"{extra} ({PURPOSES[extra]})" if extra in PURPOSES else extra for extra in facts.missing_extras
    )
    every = ",".join(facts.missing_extras)
    return [
        Finding("extras", f"not installed: {names}", "note", commands=(f"pip install 'tcs-hpt[{every}]'",))
    ]


def _ollama(facts: Facts) -> Finding:
    server = facts.server
    if facts.server_problem:
        return Finding("Ollama", facts.server_problem, "warning")
    if server is None:
        if facts.ollama_program:
            return Finding("Ollama", "installed, but no server answers", "note", commands=("ollama serve",))
        return Finding(
            "Ollama", "no server answers", "note", "Optional, for larger models: https://ollama.com/download"
        )
    if server.problem:
        return Finding("Ollama", f"{server.version} answers, but: {server.problem}", "warning")
    place = "" if server.local else ", on another machine (its memory is not known here),"
    names = ", ".join(model.name for model in server.models) or "no models"
    loaded = f"; loaded now: {', '.join(server.loaded)}" if server.loaded else ""
    return Finding("Ollama", f"{server.version}{place} has {names}{loaded}")


def _store(facts: Facts) -> Finding:
    if facts.store_problem:
        return Finding(
            "studies",
            facts.store_problem,
            "error",
            "Tuning needs a database: name another one with --store or TCS_HPT_STORE.",
        )
    if facts.studies is None:
        return Finding("studies", f"none yet; the first one makes {facts.store}")
    return Finding("studies", f"{facts.studies or 'none'} in {facts.store}")


def _model(facts: Facts) -> list[Finding]:
    if facts.server_problem:
        return [_model_without_auto(facts)]
    chosen = choose(facts.machine, facts.server)
    file = CATALOGUE.get(chosen.name.removeprefix("embedded:"))
    if file is None:
        found = Finding("model", f"--model auto uses {chosen.name}. {chosen.reason}")
    elif not facts.engines.get("xllamacpp"):
        found = Finding(
            "model",
            "--model auto finds none: no Ollama model can be used, and the embedded engine is missing.",
            "warning",
            commands=("pip install 'tcs-hpt[embedded]'",),
        )
    elif file.memory > facts.machine.memory_available:
        found = Finding(
            "model", f"--model auto is {chosen.name}, and the memory is too short for it.", "warning"
        )
    elif facts.models_problem:
        found = Finding(
            "model", f"--model auto is {chosen.name}, and the models folder cannot be read.", "warning"
        )
    else:
        fetched = "" if file.name in facts.files else f" It is fetched at first use ({file.size_mb} MB)."
        found = Finding("model", f"--model auto uses {chosen.name}. {chosen.reason}{fetched}")
    return [found, *_advice(facts)]


def _model_without_auto(facts: Facts) -> Finding:
    """What works while OLLAMA_HOST is no address, over which `auto` stops."""
    text = "--model auto stops over the address of the Ollama server: correct or unset OLLAMA_HOST"
    file = CATALOGUE[DEFAULT_EMBEDDED]
    usable = facts.engines.get("xllamacpp") and file.memory <= facts.machine.memory_available
    if not usable or facts.models_problem:
        return Finding("model", f"{text}.", "warning")
    command = f"{TUNE} --model {file.full_name}"
    return Finding("model", f"{text}, or name a model.", "warning", commands=(command,))


def _advice(facts: Facts) -> list[Finding]:
    """What would suit this machine better, and how to get it."""
    best, file = better(facts.machine, facts.server), _larger_file(facts)
    found = []
    # Not worth a server of its own: the same model runs without one.
    if best is not None and not (facts.server is None and file is not None and file.source == best.source):
        found.append(_better_tag(best, facts))
    if file is not None and (facts.server is None or facts.server.problem):
        get = () if file.name in facts.files else (f"tcs-hpt models pull {file.full_name}",)
        what = f"{file.full_name} ({_gb(file.size)}) suits this machine and needs no server. {WHY_LARGER}"
        use = f"tcs-hpt tune TASK --model {file.full_name}"
        found.append(Finding("better" if not found else "or", what, "note", commands=(*get, use)))
    return found


def _better_tag(best: LibraryModel, facts: Facts) -> Finding:
    paper = " The paper's results are from it." if best.paper else ""
    text = f"{best.full_name} ({_gb(best.size)}) suits this machine.{paper} {WHY_LARGER}"
    pull = f"tcs-hpt models pull {best.full_name}"
    if facts.server is None and not facts.ollama_program:
        return Finding("better", text, "note", "Install Ollama (https://ollama.com/download), then:", (pull,))
    if facts.server is None:
        return Finding("better", text, "note", commands=("ollama serve", pull))
    first = "First mend what is said about Ollama above, then:" if facts.server.problem else ""
    return Finding("better", text, "note", first, (pull,))


def _larger_file(facts: Facts) -> KnownModel | None:
    """The largest embedded model that suits the machine, if that is not the default."""
    machine = facts.machine
    suited = [
        m
        for m in CATALOGUE.values()
        if m.memory <= machine.memory_available and machine.is_quick(m.memory, m.size)
    ]
    largest = max(suited, key=lambda model: model.size, default=None)
    if largest is None or largest.name == DEFAULT_EMBEDDED or not facts.engines.get("xllamacpp"):
        return None
    return largest


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
