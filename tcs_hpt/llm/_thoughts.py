"""Telling what a thinking model thought from what it answered."""

from __future__ import annotations

import json
import re

TAG = re.compile(r"<(?P<slash>/?)(?:think|thinking|thought)>|\[(?P<stroke>/?)THINK\]", re.IGNORECASE)
"""DeepSeek, Qwen and Phi write `think`, some fine-tunes `thinking`, EXAONE `thought`, Magistral `[THINK]`."""


def split_thoughts(text: str) -> tuple[str, str]:
    """Split a model's text into its answer and the thoughts before it.

    A text without tags is returned as it is. The thoughts end at the closing tag; without an opening tag they begin
    with the text, because some chat templates put the opening tag into the prompt. Thoughts that never end leave no
    answer. Tags inside an answer that is JSON are part of it.

    Args:
        text: All that the model wrote, not a piece of it.

    Returns:
        The answer and the thoughts, both without the tags and without space around them.
    """
    said: list[str] = []
    thoughts: list[str] = []
    rest, thinking, found = text, False, False
    while (thinking or not _is_json(rest)) and (tag := TAG.search(rest)):
        before, rest = rest[: tag.start()], rest[tag.end() :]
        closing = bool(tag["slash"] or tag["stroke"])
        if thinking:
            thoughts.append(before)
        elif closing and (rest.strip() or not found):
            # It closes what was opened out of sight. Behind a whole answer it is only a slip, and falls away.
            thoughts += [*said, before]
            said = []
        else:
            said.append(before)
        thinking, found = not closing, True
    if not found:
        return text, ""
    (thoughts if thinking else said).append(rest)
    return "".join(said).strip(), "\n\n".join(part.strip() for part in thoughts if part.strip())


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):  # thousands of open brackets
        return False
    return True
