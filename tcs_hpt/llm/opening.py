"""From a name such as `auto` or `ollama:qwen2.5-coder:7b` to a model that is ready to answer.

What `auto` stands for is decided in `choice`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tcs_hpt.errors import ModelError, ModelUnavailable, UserError
from tcs_hpt.llm import machine as machines
from tcs_hpt.llm._base import ChatModel
from tcs_hpt.llm.choice import choose, fits, listed
from tcs_hpt.llm.machine import SHORTAGE_HINT, Machine, OllamaState
from tcs_hpt.llm.models import (
    CATALOGUE,
    DEFAULT_EMBEDDED,
    KnownModel,
    LibraryModel,
    full_tag,
    known_model,
    known_models,
    library_model,
    memory_needed,
    models_dir,
)

if TYPE_CHECKING:
    from tcs_hpt.llm.download import Progress

_FORMS = (
    "auto",
    "ollama:NAME",
    "openai:URL#MODEL",
    *(model.full_name for model in CATALOGUE.values()),
    "embedded:PATH.gguf",
    "transformers:NAME_OR_FOLDER",
    "scripted:FILE",
    "scripted:first",
    "replay:FILE",
)


class NotInstalled(ModelUnavailable):
    """The Ollama server does not have the model, but could fetch it.

    Args:
        name: As the server names it.
        known: Its entry in the catalogue, if it has one.
        hint: What to do about it.
    """

    def __init__(self, name: str, known: LibraryModel | None, *, hint: str) -> None:
        super().__init__(f"the Ollama server does not have the model `{name}`", hint=hint)
        self.name = name
        self.size = known.size if known else None
        """To be fetched [bytes]; None when it is not known."""


def open_model(
    name: str,
    *,
    pull: bool = False,
    jobs: int = 1,
    on_progress: Progress | None = None,
    ignore_memory: bool | None = None,
    look: Callable[[], Machine] = machines.look,
) -> tuple[ChatModel, str]:
    """Make a name into a model that is ready to answer.

    A file of the catalogue that is not on this machine yet is fetched. A model that an Ollama server lacks is fetched
    only with `pull`, because it may take an hour and the server's disk.

    Args:
        name: `auto`, `ollama:NAME[:TAG]`, `openai:URL#MODEL`, `embedded:NAME`, `embedded:PATH.gguf`,
            `transformers:NAME_OR_FOLDER`, `scripted:FILE`, `scripted:first`, or `replay:FILE`.
        pull: Whether an Ollama server may fetch the model.
        jobs: Trials or studies side by side, which share the cores with an embedded engine.
        on_progress: Told about the download, if there is one.
        ignore_memory: Whether a model that seems too large for the memory is loaded all the same; by default what the
            environment variable TCS_HPT_IGNORE_MEMORY says.
        look: How the machine is measured.

    Returns:
        The model, which the caller must close, and a sentence that says why it is this one.

    Raises:
        UserError: The name means nothing, or names a file that is not there.
        NotInstalled: An Ollama server lacks it, and `pull` was not given.
        ModelUnavailable: It cannot be reached, fetched or loaded, or needs more memory than there is.
    """
    if ignore_memory is None:
        ignore_memory = machines.ignores_memory()
    if name == "auto":
        return _open_auto(jobs, on_progress, ignore_memory, look)
    kind, _, rest = name.partition(":")
    reason = f"The model {name} was asked for."
    if not rest:
        raise _meaningless(name)
    if kind == "ollama":
        return _open_ollama(rest, pull, on_progress, look)
    if kind == "embedded":
        return _open_embedded(rest, jobs, on_progress, ignore_memory, look), reason
    if kind == "openai":
        return _open_openai(rest)
    # Backends are imported where they are opened: naming models must not cost the import of an engine.
    if kind == "transformers":
        return _open_transformers(rest, ignore_memory)
    if kind == "scripted":
        return _open_scripted(rest), reason
    if kind == "replay":
        from tcs_hpt.llm.replay import ReplayModel

        return ReplayModel(Path(rest)), reason
    raise _meaningless(name)


def suggest(name: str, *, among: tuple[str, ...] = ()) -> str:
    """What a person who wrote `name` probably meant, as `--model` takes it; empty when nothing is near.

    Args:
        name: A name without backend, or with a slip in it.
        among: Further names that exist, without backend, of an Ollama server.
    """
    bare = name.partition(":")[2] if name.startswith(("ollama:", "embedded:")) else name
    if name.startswith(("http://", "https://")):
        return f"openai:{name}" if "#" in name else f"openai:{name}#MODEL"
    if bare.endswith(".gguf"):
        return f"embedded:{bare}"
    if bare in CATALOGUE:
        return CATALOGUE[bare].full_name
    if (known := library_model(bare)) is not None:
        return known.full_name
    if "/" in name and ":" not in name:
        return f"transformers:{name}"
    names = {model.name: model.full_name for model in known_models()} | {
        tag: f"ollama:{tag}" for tag in among
    }
    near = difflib.get_close_matches(bare.lower(), names, n=1, cutoff=0.6)
    return names[near[0]] if near else ""


def _open_auto(
    jobs: int, on_progress: Progress | None, ignore_memory: bool, look: Callable[[], Machine]
) -> tuple[ChatModel, str]:
    try:
        server = machines.ollama_state()
    except UserError as error:
        # Who names a server wants it: going on without it would hide the slip until the study is done.
        needs_none = f"{CATALOGUE[DEFAULT_EMBEDDED].full_name} needs no server."
        raise UserError(error.message, hint=f"{error.hint} Or name a model: {needs_none}") from error
    chosen = choose(look(), server)
    reason = f"No model was named. {chosen.reason}"
    kind, _, rest = chosen.name.partition(":")
    if kind == "ollama":
        from tcs_hpt.llm.ollama import OllamaModel

        return OllamaModel(rest), reason
    try:
        return _open_embedded(rest, jobs, on_progress, ignore_memory, look), reason
    except ModelUnavailable as error:
        state = (
            "no Ollama server answers"
            if server is None
            else "the Ollama server has no model that can be used"
        )
        raise ModelUnavailable(
            f"there is no language model to use: {state}, and {error.message}",
            hint=f"{error.hint} Or: start Ollama (https://ollama.com/download) and run "
            "`tcs-hpt models pull ollama:qwen2.5-coder:1.5b`; name a server, as openai:URL#MODEL; or tune without a "
            "model: `tcs-hpt tune TASK --method expert`. `tcs-hpt doctor` looks at what is here.",
        ) from error


def _open_ollama(
    name: str, pull: bool, on_progress: Progress | None, look: Callable[[], Machine]
) -> tuple[ChatModel, str]:
    from tcs_hpt.llm import ollama

    server = machines.ollama_state()
    reason = f"The model ollama:{name} was asked for."
    if server is not None and not server.problem and server.tag_of(name) is None:
        if not pull:
            raise _not_installed(name, server)
        ollama.pull(name, on_progress=on_progress)
        reason += " The Ollama server fetched it first."
    try:
        # Without a server, or with one that cannot be used, this says what is wrong.
        model = ollama.OllamaModel((server and server.tag_of(name)) or name)
    except ModelUnavailable as error:
        if server is not None:
            raise
        raise ModelUnavailable(
            error.message,
            hint=f"{error.hint} Ollama comes from https://ollama.com/download; "
            f"{CATALOGUE[DEFAULT_EMBEDDED].full_name} needs no server.",
        ) from error
    known = library_model(name)
    if known and server and server.local and not fits(full_tag(name), known, look(), server):
        reason += (
            f" It needs about {known.memory / 1e9:.1f} GB of memory, which is more than is free here: "
            "the server may refuse it, or answer slowly."
        )
    return model, reason


def _not_installed(name: str, server: OllamaState) -> NotInstalled:
    known = library_model(name)
    size = f" ({known.size / 1e9:.1f} GB)" if known else ""
    hint = f"Fetch it with `tcs-hpt models pull ollama:{name}`{size}, or add --pull."
    has = tuple(tag.name for tag in server.models)
    if known is None:
        # A tag that the server has but the person wrote wrong is nearer than what it would have to fetch.
        near = difflib.get_close_matches(name, has, n=1, cutoff=0.6)
        meant = f"ollama:{near[0]}" if near else suggest(name, among=has)
        hint += f" Or did you mean {meant}?" if meant else ""
    return NotInstalled(name, known, hint=hint)


def _open_embedded(
    name: str, jobs: int, on_progress: Progress | None, ignore_memory: bool, look: Callable[[], Machine]
) -> ChatModel:
    from tcs_hpt.llm import download, llama_cpp

    # Before the download: 98 MB are not worth fetching for an engine that is not installed.
    llama_cpp.import_engine()
    threads = max(1, look().cores // jobs)
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(f"there is no model file {path}", hint="Check the path after `embedded:`.")
        if not ignore_memory:
            _require_memory(f"embedded:{name}", _memory_of(path), look())
        return llama_cpp.LlamaCppModel(path, name=f"embedded:{name}", threads=threads)
    known = _known_embedded(name)
    if not ignore_memory:
        _require_memory(known.full_name, known.memory, look())
    path = download.fetch(known, models_dir(), on_progress=on_progress)
    return llama_cpp.LlamaCppModel(path, name=known.full_name, threads=threads)


def _known_embedded(name: str) -> KnownModel:
    try:
        return known_model(name)
    except UserError as error:
        meant = suggest(name)
        if not meant:
            raise
        raise UserError(error.message, hint=f"Did you mean {meant}? {error.hint}") from error


def _memory_of(path: Path) -> int:
    known = next((model for model in CATALOGUE.values() if model.file == path.name), None)
    return memory_needed(path.stat().st_size, known.layout if known else None)


def _require_memory(name: str, needed: int, machine: Machine) -> None:
    """Refuse what does not fit into the main memory, where the embedded engine computes."""
    if needed <= machine.memory_available:
        return
    smaller = [m for m in CATALOGUE.values() if m.memory <= machine.memory_available and m.full_name != name]
    largest = max(smaller, key=lambda model: model.memory, default=None)
    advice = f"Use {largest.full_name}" if largest else "Close other programs"
    raise ModelUnavailable(
        f"{name} needs about {needed / 1e9:.1f} GB of memory, and {machine.memory_available / 1e9:.1f} GB are free",
        hint=f"{advice}, {SHORTAGE_HINT}.",
    )


def _open_openai(place: str) -> tuple[ChatModel, str]:
    from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel, served

    model = OpenAICompatibleModel.from_name(place)
    # Its own name: what was typed may hold a password, and the reason is recorded.
    reason = f"The model {model.name} was asked for."
    url, _, wanted = place.partition("#")
    try:
        served_names = served(url)
    except ModelUnavailable:
        # Nobody is there: better said now than after the first trial.
        model.close()
        raise
    except (ModelError, UserError):
        served_names = ()  # not every server lists its models; the first request tells
    if wanted and served_names and wanted not in served_names:
        reason += f" The server does not list it; it lists {listed(served_names)}."
    return model, reason


def _open_transformers(source: str, ignore_memory: bool) -> tuple[ChatModel, str]:
    from tcs_hpt.llm.transformers_local import TransformersModel

    model = TransformersModel(source, ignore_memory=ignore_memory)
    reason = f"The model {model.name} was asked for."
    if model.commit and not source.endswith(f"@{model.commit}"):
        reason += (
            f" It is commit {model.commit} on the Hugging Face Hub; `@` and a commit behind the name fix it."
        )
    return model, reason


def _open_scripted(script: str) -> ChatModel:
    from tcs_hpt.llm.scripted import ScriptedModel, first_choice

    if script == "first":
        return ScriptedModel(name="scripted:first", then=first_choice)
    return ScriptedModel.from_file(Path(script))


def _meaningless(name: str) -> UserError:
    meant = suggest(name) if name else ""
    question = f"Did you mean {meant}? " if meant and meant != name else ""
    shown = re.sub(r"//[^/@]*@", "//***@", name)  # a password in an address without `openai:` before it
    return UserError(f"`{shown}` does not name a model", hint=f"{question}Choose one of {', '.join(_FORMS)}.")
