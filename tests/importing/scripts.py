"""Makes scripts for the tests of reading them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from tcs_hpt.importing.found import Found
from tcs_hpt.importing.script import Script, open_script
from tcs_hpt.importing.settable import Sorted, gather


def script(folder: Path, text: str, name: str = "train.py", **files: str) -> Script:
    """The text as a script in the folder, with other files beside it (`config_yaml` is `config.yaml`)."""
    for file, content in files.items():
        path = folder / file.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content), encoding="utf-8")
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return open_script(path)


def found(made: Script, *arguments: str) -> Mapping[str, Found]:
    """What may be a hyperparameter, by name."""
    return {f.name: f for f in sorted_of(made, *arguments).candidates}


def sorted_of(made: Script, *arguments: str) -> Sorted:
    """What the script lets people set."""
    return gather(made, arguments)
