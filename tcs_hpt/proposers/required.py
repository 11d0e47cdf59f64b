"""Packages that a method needs beyond the core installation."""

from __future__ import annotations

import importlib

from tcs_hpt.errors import UserError


def require(extra: str, *packages: str) -> None:
    """Import what a method needs.

    Raises:
        UserError: One of the packages is missing.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(
                f"method {extra!r} needs the package {package!r}, which cannot be imported: {error}",
                hint=f"Install it with `pip install 'tcs-hpt[{extra}]'`, or choose another --method.",
            ) from error
