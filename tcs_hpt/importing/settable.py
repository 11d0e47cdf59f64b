"""Puts together what the styles of script let people set, and sorts it into what is tuned and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tcs_hpt.errors import UserError
from tcs_hpt.importing import (
    argparse_flags,
    click_options,
    code_literals,
    config_files,
    dataclass_flags,
    environment,
    function_flags,
    hydra,
    lightning_cli,
    trial_params,
)
from tcs_hpt.importing.found import ConfigFile, Found, LeftOut, Named, Settable
from tcs_hpt.importing.hyperparameters import reason_against
from tcs_hpt.importing.script import Script

_SEEDS = frozenset(("seed", "random_seed", "random_state", "rng_seed", "manual_seed"))
_NAMED_INTERPRETER = frozenset(("PYTHON", "PYTHON_BIN", "PY"))


@dataclass(frozen=True)
class Sorted:
    """What a script lets people set."""

    candidates: tuple[Found, ...]
    """What may be a hyperparameter; names differ."""
    left_out: tuple[LeftOut, ...]
    prefix: tuple[str, ...]
    config: ConfigFile | None
    seed: Found | None = None
    """Where the script takes its seed from outside."""
    interpreter: str = ""
    """The variable by which a shell script lets people choose the interpreter."""


def gather(script: Script, arguments: Sequence[str]) -> Sorted:
    """Everything that can be set.

    Args:
        script: The script.
        arguments: What the user gives it on its command line; these are not tuned.

    Raises:
        UserError: It needs an argument that the user did not give.
    """
    styles = [
        find(script)
        for find in (argparse_flags.find, click_options.find, function_flags.find, dataclass_flags.find)
    ]
    styles.append(lightning_cli.find(script, arguments))
    flags = tuple(f for s in styles for f in s.found)
    shell = environment.find(script)
    _check_required(script, [*styles, shell], arguments)
    composed = hydra.find(script)
    config = Settable() if composed.found else config_files.find(script, flags, arguments)
    outside = [*flags, *composed.found, *config.found, *shell.found, *trial_params.find(script)]
    named = Named()
    candidates: list[Found] = []
    left_out: list[LeftOut] = []
    interpreter = next((f.route.key for f in shell.found if f.route.key in _NAMED_INTERPRETER), "")
    for found in outside:
        _sort(found, arguments, named, candidates, left_out)
    literals = code_literals.find(script).found
    if not candidates:  # a script with flags says by them what may vary; its literals stay as they are
        for found in literals:
            _sort(found, arguments, named, candidates, left_out)
    return Sorted(
        tuple(candidates),
        tuple(left_out),
        next((s.prefix for s in styles if s.prefix), ()),
        config.config,
        next((f for f in outside if _is_seed(f, arguments)), None),
        interpreter,
    )


def _sort(
    found: Found, arguments: Sequence[str], named: Named, candidates: list[Found], left_out: list[LeftOut]
) -> None:
    given = {a.split("=", 1)[0] for a in arguments}
    reason = "given on the command line" if found.route.key in given else reason_against(found)
    if reason:
        left_out.append(LeftOut(found.name, found.default, place_of(found), reason))
    else:
        candidates.append(named.of(found))


def _is_seed(found: Found, arguments: Sequence[str]) -> bool:
    given = {a.split("=", 1)[0] for a in arguments}
    way = found.route.way in ("flag", "override", "env", "config")
    return way and found.kind == "int" and found.name in _SEEDS and found.route.key not in given


def place_of(found: Found) -> str:
    """Where it is set, in words."""
    return f"{found.route}, line {found.line}" if found.line else str(found.route)


def _check_required(script: Script, styles: Sequence[Settable], arguments: Sequence[str]) -> None:
    required = [name for s in styles for name in s.required]
    given = {a.split("=", 1)[0] for a in arguments if a.startswith("-")}
    flags = [r for r in required if r.startswith("-") and r not in given]
    positional = [r for r in required if not r.startswith("-")]
    left = _positionals(arguments, styles)
    missing = flags + positional[left:]
    if not missing:
        return
    example = " ".join(_example(m) for m in missing)
    raise UserError(
        f"{script.name} does not start without {', '.join(f'`{m}`' for m in missing)}, and only you know what to give it",
        hint=f"Put it after `--`, as you type it: `tcs-hpt init {script.name} -- {example}`.",
    )


def _example(name: str) -> str:
    """An argument as a usage line has it."""
    if name.startswith("-"):
        return f"{name} VALUE"
    return name.upper() if name.isidentifier() else "VALUE"


def _positionals(arguments: Sequence[str], styles: Sequence[Settable]) -> int:
    """How many of the arguments are no flag and no flag's value."""
    switches = {f.route.key for s in styles for f in s.found if f.route.way == "toggle"}
    count, skip = 0, False
    for argument in arguments:
        if skip:
            skip = False
        elif argument.startswith("-"):
            skip = "=" not in argument and argument not in switches
        else:
            count += 1
    return count
