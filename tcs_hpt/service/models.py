"""The language models, and which of them a request may name."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter

from tcs_hpt.errors import UserError
from tcs_hpt.llm import listing, machine
from tcs_hpt.llm.choice import choose
from tcs_hpt.llm.models import CATALOGUE
from tcs_hpt.service.context import Here
from tcs_hpt.service.offer_shapes import AutoModel, Models, ModelShape
from tcs_hpt.service.problems import Refused, responses
from tcs_hpt.service.settings import ServiceSettings, is_loopback

router = APIRouter(tags=["models"])


@router.get("/models", summary="Language models", responses=responses())
def models(here: Here) -> Models:
    """The models that are known, those that the Ollama server has besides, and what `auto` would take and why.

    As seen from the web process; workers on other machines may see others.
    """
    try:
        server = machine.ollama_state()
    except UserError as error:  # OLLAMA_HOST is not an address
        rows = listing.rows(None)
        auto = AutoModel(name=None, reason=f"{error.message}. {error.hint}")
    else:
        rows = listing.rows(server)
        chosen = choose(machine.look(), server)
        auto = AutoModel(name=chosen.name, reason=chosen.reason)
    return Models(items=[_shape(row) for row in rows], auto=auto)


def auto_reason() -> str:
    """Why `auto` would take what it would take now."""
    try:
        return choose(machine.look(), machine.ollama_state()).reason
    except UserError as error:
        return f"{error.message}. {error.hint}"


def require_allowed(name: str, settings: ServiceSettings, pointer: str) -> None:
    """Refuse a model that names a file of this machine, or a server that its operator has not named.

    A key for OpenAI-compatible servers may lie in the environment, and must not travel to any address that a request names.

    Args:
        name: As `--model` takes it.
        settings: Which servers may be asked.
        pointer: The field of the body, for the error.

    Raises:
        Refused: It may not be named (422).
    """
    kind, _, rest = name.partition(":")
    if kind in ("", "auto", "ollama"):
        return
    if kind == "embedded" and rest in CATALOGUE:
        return
    if name == "scripted:first":
        return
    if kind != "openai":
        raise Refused(
            422,
            f"a study over HTTP cannot use the model {name!r}",
            hint=f"Use auto, ollama:NAME, openai:URL#NAME, or {', '.join(m.full_name for m in CATALOGUE.values())}.",
            pointer=pointer,
        )
    try:
        host = urlsplit(rest).hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host) and host not in {h.lower() for h in settings.model_hosts}:
        raise Refused(
            422,
            f"the model's server {host or 'without a name'!r} is not one that this service may ask",
            hint="Whoever runs the service can allow it with --model-host NAME.",
            pointer=pointer,
        )


def _shape(row: listing.Row) -> ModelShape:
    backend = row.name.partition(":")[0]
    return ModelShape(
        name=row.name,
        size_mb=round(row.size / 1e6),
        memory_mb=None if row.memory is None else round(row.memory / 1e6),
        licence=row.licence,
        where="embedded" if backend == "embedded" else "ollama",
        present=row.here,
        parameters=row.parameters,
        description=row.description,
    )
