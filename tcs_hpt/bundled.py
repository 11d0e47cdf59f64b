"""Where the folders that travel with the package are. No other code knows.

In a checkout they lie beside the package; in an installed wheel inside it, under `_bundled/`, so that the wheel never
installs a package called `tasks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tcs_hpt.errors import UserError

_PACKAGE = Path(__file__).resolve().parent


def folder(kind: Literal["tasks", "prompts", "benchmarks"]) -> Path:
    """The absolute path of one of the bundled folders; it exists. Read it, never write to it.

    Raises:
        UserError: The installation lacks it.
    """
    installed = _PACKAGE / "_bundled" / kind
    if installed.is_dir():
        return installed
    # Only a checkout has this file beside the package; without the check, site-packages could answer with a
    # stranger's folder of the same name.
    if (_PACKAGE.parent / "pyproject.toml").is_file() and (_PACKAGE.parent / kind).is_dir():
        return _PACKAGE.parent / kind
    raise UserError(
        f"this installation of tcs_hpt has no {kind!r} folder",
        hint="Install the package again: pip install --force-reinstall tcs-hpt",
    )
