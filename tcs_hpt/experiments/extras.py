"""Which optional parts of tcs-hpt are installed here."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable

from packaging.requirements import Requirement

from tcs_hpt.llm.machine import package_version

NOT_FOR_USERS = ("all", "dev")


def requirements() -> list[str]:
    """What the metadata of the installed tcs-hpt requires; nothing when it is run from its sources."""
    try:
        return importlib.metadata.requires("tcs-hpt") or []
    except importlib.metadata.PackageNotFoundError:
        return []


def missing_extras(
    requirements: Iterable[str], version: Callable[[str], str | None] = package_version
) -> dict[str, tuple[str, ...]]:
    """By extra, which of its packages are not installed; those with all of theirs are left out.

    Args:
        requirements: As a distribution's metadata lists them, e.g. `torch>=2.4; extra == "gp"`.
        version: Of an installed package, None for a missing one.
    """
    missing: dict[str, list[str]] = {}
    for text in requirements:
        requirement = Requirement(text)
        for extra in re.findall(r"""extra\s*==\s*["']([^"']+)["']""", text):
            # Its other conditions count too: a package for another system is not missing on this one.
            wanted = requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
            if wanted and extra not in NOT_FOR_USERS and version(requirement.name) is None:
                missing.setdefault(extra, []).append(requirement.name)
    return {extra: tuple(dict.fromkeys(names)) for extra, names in sorted(missing.items())}
