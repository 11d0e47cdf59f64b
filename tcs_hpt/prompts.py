"""Prompt templates: data with a version in its name, rendered by Jinja2.

A template is one file `prompts/NAME.vN.j2` with two parts, headed `=== system` and `=== user`. The system part holds what
stays the same through a study, so that a model server can reuse its prefix; the user part holds what changes. A name that
the caller did not give is an error (`StrictUndefined`), never an empty string.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tcs_hpt import bundled
from tcs_hpt.records import Message
from tcs_hpt.space import format_value


@dataclass(frozen=True)
class Prompt:
    """A rendered template."""

    name: str
    """Template with version, e.g. `analysis.v1`."""
    sha256: str
    """Of the template's source and what it includes: what was asked, apart from the values filled in."""
    system: str
    user: str

    @property
    def text(self) -> str:
        """Both parts as one text."""
        return f"{self.system}\n\n{self.user}"

    @property
    def messages(self) -> tuple[Message, ...]:
        """As a chat."""
        return (Message(role="system", content=self.system), Message(role="user", content=self.user))


_PARTS = re.compile(r"^=== (system|user)\n", re.MULTILINE)
_INCLUDES = re.compile(r"{% include \"([^\"]+)\" %}")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(bundled.folder("prompts")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # plain text for a model, not HTML
    )
    environment.filters["value"] = format_value
    environment.filters["number"] = lambda number: f"{number:.4g}"
    return environment


@lru_cache(maxsize=32)
def _load(name: str) -> tuple[dict[str, Template], str]:
    """The compiled parts of a template, and the SHA-256 of its source with what it includes."""
    environment = _environment()
    assert environment.loader is not None
    source = environment.loader.get_source(environment, f"{name}.j2")[0]
    digest = hashlib.sha256(source.encode())
    for included in _INCLUDES.findall(source):
        digest.update(environment.loader.get_source(environment, included)[0].encode())
    _, *pieces = _PARTS.split(source)
    parts = {
        head: environment.from_string(body) for head, body in zip(pieces[::2], pieces[1::2], strict=True)
    }
    return parts, digest.hexdigest()


def render(name: str, **context: Any) -> Prompt:
    """Fill in the template `prompts/NAME.j2`; a part that it lacks is empty.

    Raises:
        jinja2.UndefinedError: The template uses a name that `context` does not have.
        jinja2.TemplateNotFound: There is no such template.
    """
    parts, sha256 = _load(name)
    filled = {head: template.render(context).strip() for head, template in parts.items()}
    return Prompt(name, sha256, filled.get("system", ""), filled.get("user", ""))
