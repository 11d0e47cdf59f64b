"""How a request is put to one server: they all speak the OpenAI protocol, and each leaves something out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from tcs_hpt.llm._base import ChatRequest
from tcs_hpt.llm._openai_errors import Complaint

ResponseFormat: TypeAlias = Literal["json_schema", "json_schema_plain", "json_object", "none"]
"""How an answer is held to its schema: enforced; enforced as far as OpenAI's strict mode goes, where bounds and
lengths are only described; any JSON object, with the schema stated in the prompt; or only stated."""

FORMATS: tuple[ResponseFormat, ...] = ("json_schema", "json_schema_plain", "json_object", "none")
"""From the strongest to the weakest."""

OPTIONAL = ("temperature", "seed", "logprobs", "stream_options", "stream")
"""Fields of a request that it can do without."""

STRICT_KEYWORDS = frozenset(
    ("type", "enum", "const", "properties", "required", "additionalProperties", "items", "anyOf", "allOf")
) | {"title", "description", "$ref", "$defs", "definitions"}
"""What every strict mode knows of JSON Schema; hosted models refuse a schema with `maxLength` or `minimum`."""

ENUMERATED = 20
"""Integers of a bounded range that are listed where bounds are not known."""

NO_SYSTEM = re.compile(
    r"system (role|message|prompt)s?\W.{0,40}not (supported|allowed)|roles must alternate", re.I
)


@dataclass(frozen=True)
class Dialect:
    """What a server was found to take."""

    response_format: ResponseFormat = "json_schema"
    """Tentative until the server has answered a request with a schema."""
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    left_out: frozenset[str] = frozenset()
    """Fields of `OPTIONAL` that it refuses, and `system` when it takes no system messages."""

    def body(self, model: str, request: ChatRequest, *, thinking_tokens: int = 0) -> dict[str, Any]:
        """The JSON of a request.

        Args:
            model: The name that the server gives it.
            request: What to ask.
            thinking_tokens: Room for thoughts, in addition to the answer's.
        """
        fields: dict[str, Any] = {
            "model": model,
            "messages": self._messages(request),
            self.tokens_field: request.max_tokens + thinking_tokens,
            "temperature": request.temperature,
            "seed": request.seed % 2**31,  # some servers keep it in 32 bits and take negative ones as random
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.logprobs:
            fields["logprobs"] = True
        left_out = self.left_out | ({"stream_options"} if "stream" in self.left_out else set())
        body = {name: value for name, value in fields.items() if name not in left_out}
        if request.schema is not None and self.response_format != "none":
            body["response_format"] = self._response_format(request.schema)
        return body

    def alternatives(self, complaint: Complaint, request: ChatRequest) -> Iterator[Dialect]:
        """Other ways to put a request that was refused, the likeliest first; each asks less of the server."""
        if (
            self.tokens_field == "max_tokens"
            and "max_completion_tokens" in complaint.text
            and _is_about("max_tokens", complaint)
        ):
            yield replace(self, tokens_field="max_completion_tokens")
        for field in OPTIONAL:
            sent = field not in self.left_out and (field != "logprobs" or request.logprobs)
            if sent and _is_about(field, complaint):
                yield replace(self, left_out=self.left_out | {field})
        if "system" not in self.left_out and NO_SYSTEM.search(complaint.text):
            yield replace(self, left_out=self.left_out | {"system"})
        if request.schema is not None:
            for weaker in FORMATS[FORMATS.index(self.response_format) + 1 :]:
                yield replace(self, response_format=weaker)

    def _response_format(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        if self.response_format == "json_object":
            return {"type": "json_object"}
        sent = dict(schema) if self.response_format == "json_schema" else plain(schema)
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": sent, "strict": True}}

    def _messages(self, request: ChatRequest) -> list[dict[str, str]]:
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        if request.schema is not None and self.response_format in ("json_object", "none"):
            stated = (
                "Answer with one JSON object and nothing else. It must satisfy this JSON Schema:\n"
                + json.dumps(request.schema, ensure_ascii=False)
            )
            # Chat templates allow one system message, at the start.
            if messages and messages[0]["role"] == "system":
                messages[0]["content"] += f"\n\n{stated}"
            else:
                messages.insert(0, {"role": "system", "content": stated})
        return _without_system(messages) if "system" in self.left_out else messages


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema in the words of OpenAI's strict mode; every answer that satisfies both is an answer to the first.

    Objects are closed and all their properties required. Keywords it does not know are put into the description,
    where the model reads them and nothing enforces them.
    """
    kept: dict[str, Any] = {}
    told: list[str] = []
    for keyword, value in schema.items():
        name = "anyOf" if keyword == "oneOf" else keyword
        if name in ("properties", "$defs", "definitions"):
            kept[name] = {key: plain(part) for key, part in value.items()}
        elif name in ("anyOf", "allOf"):
            kept[name] = [plain(part) for part in value]
        elif name == "items" and isinstance(value, Mapping):
            kept[name] = plain(value)
        elif name in STRICT_KEYWORDS:
            kept[name] = value
        elif not name.startswith("$") and name != "default":
            told.append(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    if schema.get("type") == "integer" and {"minimum", "maximum"} <= schema.keys() and "enum" not in kept:
        whole = range(math.ceil(schema["minimum"]), math.floor(schema["maximum"]) + 1)
        kept |= {"enum": list(whole)} if 0 < len(whole) <= ENUMERATED else {}
    if told:
        kept["description"] = "; ".join([*filter(None, [kept.get("description")]), *told])
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """System messages become the beginning of the first message of the user."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    others = [m for m in messages if m["role"] != "system"]
    if not system:
        return others
    if others and others[0]["role"] == "user":
        first = {"role": "user", "content": f"{system}\n\n{others[0]['content']}"}
        return [first, *others[1:]]
    return [{"role": "user", "content": system}, *others]


def _is_about(field: str, complaint: Complaint) -> bool:
    """Whether a complaint names a field; an ordinary word counts only where it is quoted as a name."""
    if complaint.param:
        return complaint.param == field
    if field in ("stream", "seed"):
        return bool(re.search(rf"['\"`]{field}['\"`]|argument supplied: {field}\b", complaint.text))
    return bool(re.search(rf"(?<![\w-]){field}(?![\w-])", complaint.text))
