"""A task that comes over the network: what is tuned and what is measured, and never what is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tcs_hpt.catalog import LoadedTask
from tcs_hpt.catalog.manifest import check_manifest
from tcs_hpt.errors import ManifestError, Problem
from tcs_hpt.execution.isolated import FUNCTION
from tcs_hpt.service.problems import SENT_MANIFEST

OURS = ("command", "run_in", "env", "config", "metrics")
"""What says how a script is run and read; here nobody runs one."""
DEEPEST = 20


def external_task(manifest: Mapping[str, Any]) -> LoadedTask:
    """The task that a manifest declares, for a study whose trials somebody else trains.

    Args:
        manifest: What a task.toml says, as JSON.

    Raises:
        ManifestError: It has problems; all of them are listed.
    """
    problems = [
        Problem(
            SENT_MANIFEST,
            key,
            f"a manifest from the network never runs a command, so it cannot have `{key}`",
            "Leave it out: you train, and tell the service what came of it.",
        )
        for key in OURS
        if key in manifest
    ]
    problems += [
        Problem(SENT_MANIFEST, ".".join(path[:DEEPEST]), message, "Write plain text and nested tables.")
        for path, message in _unusable(manifest, ())
    ]
    if problems:
        raise ManifestError(problems)
    spec = check_manifest({**manifest, "command": list(FUNCTION)}, SENT_MANIFEST, Path("/"))
    return LoadedTask(spec, Path("/"))


def _unusable(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What JSON can hold and a task.toml cannot, or no database and no command line takes."""
    if len(path) > DEEPEST:
        yield path, "it is nested too deeply"
    elif value is None:
        yield path, "a manifest has no null"
    elif isinstance(value, str) and not _is_text(value):
        yield path, "a text holds control characters"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        yield path, "a whole number must fit into 64 bits"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not _is_text(key) or "\n" in key:
                yield path, "a name holds control characters"
            else:
                yield from _unusable(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _unusable(inner, (*path, str(place)))


def _is_text(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)
