"""Models that say what they are told to: for tests, demos and continuous integration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tcs_hpt.errors import ModelError, UserError
from tcs_hpt.llm._base import ChatReply, ChatRequest

Script: TypeAlias = str | ChatReply | Callable[[ChatRequest], str]
"""One reply: the text, the whole reply, or a function that makes the text from the request."""

CHARACTERS_PER_TOKEN = 4
"""Rough average of English text and JSON; good enough for counts that no one pays for."""


class ScriptedModel:
    """Gives prepared replies in order; every request is kept in `requests`.

    Args:
        replies: What to answer, one per request.
        name: What `name` returns.
        then: Answers every request after the last of `replies`; without it, running out is a `ModelError`.
    """

    def __init__(
        self,
        replies: Iterable[Script] = (),
        *,
        name: str = "scripted",
        then: str | Callable[[ChatRequest], str] | None = None,
    ) -> None:
        self._replies = iter(replies)
        self._name = name
        self._then = then
        self.requests: list[ChatRequest] = []
        """Every request so far, the refused ones too."""

    @classmethod
    def from_file(cls, path: Path) -> ScriptedModel:
        """Read replies from a JSON list, or from JSON lines with one reply each.

        A reply is a string, or an object, which is answered as its JSON text.

        Raises:
            UserError: The file cannot be read, or holds anything else.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"cannot read the replies in {path}: {error}", hint="Name a JSON file with a list of replies."
            ) from error
        replies = [_reply_text(path, value) for value in _values(path, text)]
        return cls(replies, name=f"scripted:{path}")

    @property
    def name(self) -> str:
        """How the user would name it."""
        return self._name

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer with the next reply."""
        self.requests.append(request)
        script = next(self._replies, self._then)
        if script is None:
            raise ModelError(
                f"{self._name} has no reply left for request {len(self.requests)}",
                hint="Add more replies to the script, or use scripted:first, which never runs out.",
            )
        if isinstance(script, ChatReply):
            return script
        text = script if isinstance(script, str) else script(request)
        return ChatReply(
            text=text,
            prompt_tokens=sum(_estimated_tokens(m.content) for m in request.messages),
            completion_tokens=_estimated_tokens(text),
        )

    def rest(self) -> None:
        """It holds nothing."""

    def close(self) -> None:
        """Nothing to release."""


def first_choice(request: ChatRequest) -> str:
    """The smallest answer that satisfies the request's schema: a whole run without a model.

    Takes the first of an enum or a union, the lowest number, the shortest string and list, and only the required
    properties. Understands local `$ref`; ignores `pattern`, `format` and `not`. Without a schema it says `ok`.
    """
    if request.schema is None:
        return "ok"
    return json.dumps(_smallest(request.schema, request.schema), ensure_ascii=False)


def _smallest(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _smallest(_referenced(schema["$ref"], root), root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _smallest(schema[union][0], root)
    if "allOf" in schema:
        merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"]:
            merged |= _referenced(part["$ref"], root) if "$ref" in part else part
        return _smallest(merged, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _smallest_of(kind if isinstance(kind, str) else kind[0], schema, root)


def _smallest_of(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if kind == "object":
        properties = schema.get("properties", {})
        required = set(schema.get("required", ()))
        # In the order of `properties`: that is the order in which a constrained model writes them.
        return {name: _smallest(value, root) for name, value in properties.items() if name in required}
    if kind == "array":
        fixed: Sequence[Mapping[str, Any]] = schema.get("prefixItems", ())
        more = max(0, schema.get("minItems", len(fixed)) - len(fixed))
        return [_smallest(item, root) for item in (*fixed, *[schema.get("items") or {}] * more)]
    if kind in ("integer", "number"):
        return _lowest_number(kind, schema)
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    return "-" * schema.get("minLength", 0)


def _lowest_number(kind: str, schema: Mapping[str, Any]) -> float | int:
    step = schema.get("multipleOf", 1 if kind == "integer" else None)
    value: float | int
    if "minimum" in schema:
        value = schema["minimum"]
        if step is not None:
            value = -(-value // step) * step
    elif "exclusiveMinimum" in schema:
        bound = schema["exclusiveMinimum"]
        upper = schema.get("maximum", schema.get("exclusiveMaximum", bound + 1))
        value = (bound // step + 1) * step if step is not None else (bound + upper) / 2
    else:
        upper = schema.get("maximum", schema.get("exclusiveMaximum", 1))
        value = 0 if upper > 0 else upper - (step or 1)
    return int(value) if kind == "integer" else value


def _referenced(pointer: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    target: Any = root
    for key in pointer.removeprefix("#/").split("/"):
        target = target[key]
    found: Mapping[str, Any] = target
    return found


def _values(path: Path, text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return [_line(path, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return whole if isinstance(whole, list) else [whole]


def _line(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"line {number} of {path} is not JSON: {error}",
            hint='Write a JSON list of replies, or one JSON value per line, e.g. "my reply".',
        ) from error


def _reply_text(path: Path, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    raise UserError(
        f"a reply in {path} must be a string or an object, got {json.dumps(value)[:60]}",
        hint="Put every reply of the model into quotes.",
    )


def _estimated_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)
