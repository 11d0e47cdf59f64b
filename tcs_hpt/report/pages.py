"""HTML pages: templates of this package, and files that a reader sees whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from tcs_hpt.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def page_template(name: str) -> Template:
    """A template of `tcs_hpt.report`: everything is escaped, and an unknown name is an error."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(files("tcs_hpt.report").joinpath(name).read_text(encoding="utf-8"))


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file; a reader sees the old one or the new one, never half of one. Its folder is created.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            # A lone surrogate can reach a record through a script's log; it has no UTF-8.
            file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise


def replace_files(folder: Path, contents: Mapping[str, str | bytes], *, what: str) -> None:
    """Write files of a folder, each as `replace_file` does.

    Raises:
        UserError: One of them cannot be written.
    """
    try:
        for name, content in contents.items():
            replace_file(folder / name, content)
    except OSError as error:
        raise UserError(
            f"{what} cannot be written to {folder}: {error}", hint="Choose another --output folder."
        ) from error
