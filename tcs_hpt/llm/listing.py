"""All known models as one list, with what of them is on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcs_hpt.llm.download import is_present
from tcs_hpt.llm.models import CATALOGUE, LIBRARY, KnownModel, ModelCard, library_model, models_dir

if TYPE_CHECKING:
    from tcs_hpt.llm.machine import OllamaState


@dataclass(frozen=True)
class Row:
    """One model of the listing."""

    name: str
    """What `--model` takes."""
    size: int
    """[bytes]"""
    memory: int | None
    """What it takes to answer, estimated [bytes]; None for a model that is not in the catalogue."""
    here: bool | None
    """Whether it can be used without fetching it; None when no server could be asked, or the models folder not read."""
    card: ModelCard | None
    """Its entry in the catalogue."""
    parameters: str = ""

    @property
    def licence(self) -> str:
        """Empty when it is not known."""
        return self.card.licence if self.card else ""

    @property
    def description(self) -> str:
        """One sentence."""
        return self.card.description if self.card else "On your Ollama server; not in the catalogue."

    def as_json(self) -> dict[str, Any]:
        """Everything, sizes in bytes."""
        card = self.card
        return {
            "name": self.name,
            "backend": self.name.partition(":")[0],
            "known": card is not None,
            "here": self.here,
            "parameters": self.parameters,
            "size_bytes": self.size,
            "memory_bytes": self.memory,
            "licence": self.licence or None,
            "thinks": card.thinks if card else None,
            "paper": bool(getattr(card, "paper", False)) if card else None,
            "source": card.source if card else None,
            "description": self.description,
        }


def rows(server: OllamaState | None) -> list[Row]:
    """The catalogue, and below it what else the Ollama server has."""
    asked = server if server is not None and not server.problem else None
    folder = models_dir()
    found = [
        Row(m.full_name, m.size, m.memory, _is_here(m, folder), m, m.parameters) for m in CATALOGUE.values()
    ]
    found += [
        Row(
            m.full_name,
            m.size,
            m.memory,
            asked.tag_of(m.name) is not None if asked else None,
            m,
            m.parameters,
        )
        for m in LIBRARY.values()
    ]
    found += [
        Row(f"ollama:{tag.name}", tag.size, None, True, None, tag.parameters)
        for tag in (asked.models if asked else ())
        if library_model(tag.name) is None
    ]
    return found


def _is_here(model: KnownModel, folder: Path) -> bool | None:
    try:
        return is_present(model, folder)
    except OSError:
        return None
