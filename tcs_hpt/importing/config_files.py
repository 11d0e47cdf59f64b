"""Settings that a script keeps in a YAML, JSON or TOML file of its folder."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from tcs_hpt.errors import UserError
from tcs_hpt.importing.found import ConfigFile, Found, Route, Settable, identifier, kind_of, scalar
from tcs_hpt.importing.literals import UNKNOWN, number
from tcs_hpt.importing.script import Script

Format = Literal["json", "yaml", "toml"]
_FORMATS: dict[str, Format] = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}
_CONFIG_FLAG = re.compile(
    r"^--?(config|cfg|conf|c|settings|params|hparams|config[-_](file|path)|cfg[-_](file|path))$"
)
_NOT_SETTINGS = re.compile(r"result|metric|history|log|vocab|token|label|output|pred", re.IGNORECASE)


def find(script: Script, flags: Sequence[Found], arguments: Sequence[str]) -> Settable:
    """The settings in the config file that the script opens, if it opens one that is there.

    Args:
        script: The script.
        flags: Its flags: the default of `--config` may name the file.
        arguments: What the user gives the script; one of them may be the file.
    """
    config = _by_argument(script, arguments) or _by_flag(script, flags, arguments) or _by_literal(script)
    if config is None:
        return Settable()
    values = load(config.path, config.format)
    lines = config.path.read_text(encoding="utf-8").splitlines()
    return Settable(tuple(settings(values, "config", lines)), config=config)


def _by_argument(script: Script, arguments: Sequence[str]) -> ConfigFile | None:
    for place, argument in enumerate(arguments):
        config = _file(script, argument)
        if config is None:
            continue
        before = arguments[place - 1] if place else ""
        if not before.startswith("-") or _CONFIG_FLAG.match(before):
            return ConfigFile(config.path, config.format, literal=argument, argument=True)
    return None


def _by_flag(script: Script, flags: Sequence[Found], arguments: Sequence[str]) -> ConfigFile | None:
    for flag in flags:
        if flag.route.way != "flag" or not _CONFIG_FLAG.match(flag.route.key) or flag.route.key in arguments:
            continue
        config = _file(script, flag.default) if isinstance(flag.default, str) else None
        if config is not None:
            return ConfigFile(config.path, config.format, flag=flag.route.key)
    return None


def _by_literal(script: Script) -> ConfigFile | None:
    """A file named by a text in the code, whatever opens it. What the script writes itself is not there yet, or not named so."""
    for node in script.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            config = _file(script, node.value)
            if config is not None and not _NOT_SETTINGS.search(config.path.stem):
                return ConfigFile(config.path, config.format, literal=node.value)
    return None


def _file(script: Script, name: str) -> ConfigFile | None:
    if "\n" in name or len(name) > 200 or Path(name).suffix.lower() not in _FORMATS:
        return None
    path = script.folder / name
    if Path(name).is_absolute() or not path.is_file():
        return None
    return ConfigFile(path, _FORMATS[path.suffix.lower()])


def load(path: Path, form: Format) -> Mapping[str, Any]:
    """A config file as nested mappings; empty when it holds anything else at its top.

    Raises:
        UserError: It cannot be read or parsed.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if form == "yaml":
            values = yaml.safe_load(text)
        else:
            values = json.loads(text) if form == "json" else tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions.") from error
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the script's config file {path.name} is not valid {form.upper()}: {reason}",
            hint="Correct it first; the script cannot read it either.",
        ) from error
    return values if isinstance(values, dict) else {}


def settings(
    values: Mapping[str, Any], way: Literal["config", "override"], lines: Sequence[str] = ()
) -> list[Found]:
    """The single values in nested mappings, each under its dotted key, with its line and the comment behind it."""
    used: set[int] = set()
    return [_setting(path, value, way, lines, used) for path, value in _leaves(values, "")]


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if not isinstance(key, str) or "." in key:
            continue
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            yield from _leaves(value, path)
            continue
        if isinstance(value, str) and number(value) is not UNKNOWN:
            value = number(value)  # PyYAML reads 1e-3 as text
        if value is None or scalar(value) is not None:
            yield path, value


def _setting(
    path: str, value: object, way: Literal["config", "override"], lines: Sequence[str], used: set[int]
) -> Found:
    """One value; of several lines with its key, the first that no other has taken."""
    key = path.rsplit(".", 1)[-1]
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[:=][^#]*(?:\s#\s*(.*))?$")
    line, said = next(
        ((n, m[1]) for n, t in enumerate(lines, 1) if n not in used and (m := pattern.match(t))), (0, None)
    )
    used.add(line)
    return Found(
        identifier(key), scalar(value), Route(way, path), line, kind_of(value), help=(said or "").strip()
    )
