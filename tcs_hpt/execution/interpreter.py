"""The interpreter that a person means: a path, a program on the PATH, or a conda environment by its name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tcs_hpt.errors import UserError

CONDA = "conda:"
"""Before the name of an environment: `conda:torch`."""
_PROGRAMS = (("CONDA_EXE", "conda"), ("MAMBA_EXE", "mamba"), ("MAMBA_EXE", "micromamba"))
_SECONDS = 60.0


def interpreter(given: str, environment: Mapping[str, str] | None = None) -> str:
    """What runs the script; anything but `conda:NAME` as it is given.

    Environments are those that `conda env list --json` knows, of the conda that `CONDA_EXE` names or that is on the PATH, or of
    mamba or micromamba; `base` is the installation itself, and a path is an environment anywhere. The interpreter is started without
    activating the environment.

    Args:
        given: As `--python` takes it.
        environment: Variables; those of this process if not given.

    Raises:
        UserError: There is no conda or no such environment, or no Python in it.
    """
    if not given.startswith(CONDA):
        return given
    environment = os.environ if environment is None else environment
    name = given.removeprefix(CONDA).strip()
    if os.sep in name:
        return _python(Path(name).expanduser(), name)
    program = _conda(environment)
    found = _environments(program)
    if name not in found:
        there = ", ".join(sorted(found)) or "none"
        raise UserError(
            f"there is no conda environment {name!r}",
            hint=f"There are: {there}. `conda create -n {name or 'NAME'} python` makes one.",
        )
    return _python(found[name], name)


def _conda(environment: Mapping[str, str]) -> str:
    for variable, program in _PROGRAMS:
        named = environment.get(variable, "")
        if named and Path(named).is_file():
            return named
        on_path = shutil.which(program, path=environment.get("PATH"))
        if on_path is not None:
            return on_path
    raise UserError(
        "there is no conda: neither CONDA_EXE nor the PATH names it",
        hint="Name the interpreter itself: --python PATH/TO/ENV/bin/python.",
    )


def _environments(program: str) -> dict[str, Path]:
    """Prefixes by name; of two environments with one name the first, as conda itself lists them."""
    try:
        listed = subprocess.run(
            [program, "env", "list", "--json"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        prefixes = [Path(p) for p in json.loads(listed.stdout)["envs"]]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise UserError(
            f"`{program} env list --json` does not say which environments there are: {said[-1] if said else type(error).__name__}",
            hint="Run it by hand to see why, or name the interpreter itself: --python PATH/TO/ENV/bin/python.",
        ) from error
    found: dict[str, Path] = {}
    for prefix in prefixes:
        own = prefix == Path(program).parent.parent or (prefix / "condabin").is_dir()
        found.setdefault("base" if own else prefix.name, prefix)
    return found


def _python(prefix: Path, name: str) -> str:
    for place in ("bin/python", "python.exe"):
        if (prefix / place).is_file():
            return str(prefix / place)
    raise UserError(
        f"the conda environment {name!r} in {prefix} has no Python",
        hint=f"`conda install -n {name} python` adds one.",
    )
