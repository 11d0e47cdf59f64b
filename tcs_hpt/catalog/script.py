"""Checks how a manifest tells a script its parameters and where it looks for the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tcs_hpt.catalog.fields import Findings
from tcs_hpt.catalog.rendering import paths, render
from tcs_hpt.catalog.wording import fix_rule, meant, toml
from tcs_hpt.spec import (
    CONTEXT,
    EPOCH,
    PLACES,
    ConfigFile,
    EnvironmentName,
    MetricsSource,
    TaskSpec,
    check_pattern,
    metric_groups,
    placeholders,
)


class ScriptFindings(Findings):
    """The checks of `command`, [env], [config] and [metrics]."""

    def known_placeholders(self, key: str, texts: Iterable[str]) -> None:
        """Check that every placeholder in some texts will have a value."""
        own = self._own_names()
        known = [*PLACES, *own]
        for name in dict.fromkeys(n for text in texts for n in placeholders(text)):
            if name == "config" and name not in own and not isinstance(self.raw.get("config"), dict):
                self.add(
                    key,
                    f"{{config}} in `{key}` is the path of the file that [config] describes, which is missing",
                    f"Add [config] with `template` or `format`, or take {{config}} out of {_place(key)}.",
                )
            elif name not in known:
                self.add(
                    key,
                    f"{{{name}}} in `{key}` is neither {', '.join(PLACES)} nor a parameter nor a fixed value",
                    meant(name, known)
                    or f"Declare [params.{name}], or take {{{name}}} out of {_place(key)}.",
                )

    def _own_names(self) -> list[str]:
        """Parameters and fixed values; a profile may bring a fixed value of its own."""
        names = [*self.table("params"), *self.table("fixed")]
        for profile in self.table("profiles").values():
            if isinstance(profile, dict) and isinstance(profile.get("fixed"), dict):
                names += profile["fixed"]
        return names

    def environment(self) -> None:
        """Check [env]."""
        for name, value in self.table("env").items():
            key = f"env.{name}"
            try:
                TypeAdapter(EnvironmentName).validate_python(name)
            except ValidationError:
                self.add(key, f"{name!r} cannot be an environment variable", "Use letters, digits and `_`.")
            if name.upper().startswith("TCS_HPT_"):
                self.add(
                    key,
                    f"`{name}` must not be set here: variables that begin with TCS_HPT_ are the engine's",
                    "Choose another name.",
                )
            if isinstance(value, str):
                self.known_placeholders(key, [value])
            else:
                self.add(
                    key, f"`{name}` must be text, got {toml(value)}", f"Write `{name} = {_quoted(value)}`."
                )

    def config_file(self) -> None:
        """Check [config], without looking into its template."""
        if "config" not in self.raw:
            return
        table = self.table("config")
        if not isinstance(self.raw["config"], dict):
            return
        self.model(ConfigFile, table, "config")
        own = self._own_names()
        if "config" in own:
            where = "params" if "config" in self.table("params") else "fixed"
            self.add(
                f"{where}.config",
                "`config` cannot be the name of a value beside a table [config]: {config} is its file",
                "Rename it, and give it its place in the file in [config.keys].",
            )
        keys = table.get("keys")
        for name in keys if isinstance(keys, dict) else ():
            if name not in own and name not in CONTEXT:
                known = [*own, *CONTEXT]
                self.add(
                    f"config.keys.{name}",
                    f"`keys` names {name!r}, which is neither a parameter nor a fixed value nor {', '.join(CONTEXT)}",
                    meant(name, known) or f"Name one of: {', '.join(known)}.",
                )
        template = table.get("template")
        if isinstance(template, str) and not (self.folder / template).is_file():
            here = [p.name for p in self.folder.iterdir() if p.suffix in (".json", ".yaml", ".yml", ".toml")]
            here = sorted(name for name in here if name != Path(self.file).name)
            self.add(
                "config.template",
                f"the template {template!r} does not exist in {self.folder}",
                f"Name a file of the folder: {', '.join(here)}." if here else f"Create {template} there.",
            )

    def metrics_source(self) -> None:
        """Check [metrics]."""
        if "metrics" not in self.raw:
            return
        table = self.table("metrics")
        if not isinstance(self.raw["metrics"], dict):
            return
        before = len(self.problems)
        patterns = table.get("patterns")
        for pattern in patterns if isinstance(patterns, list) else ():
            try:
                check_pattern(str(pattern))
            except ValueError as error:
                self.add("metrics.patterns", str(error), fix_rule(str(error), table))
        wrong = len(self.problems) > before
        self.model(MetricsSource, table | {"patterns": ["(?P<stand_in>)"]} if wrong else table, "metrics")
        if isinstance(table.get("source"), str):
            self.known_placeholders("metrics.source", [table["source"]])
        if len(self.problems) > before or table["format"] != "pattern":
            return
        groups = metric_groups(table["patterns"])
        objective = self.raw.get("objective")
        terms = objective.get("terms", [objective]) if isinstance(objective, dict) else []
        for metric in [term.get("metric") for term in terms]:
            if not isinstance(metric, str) or metric in groups:
                continue
            found = f"the groups are {', '.join(groups)}" if groups else f"the only group is {EPOCH}"
            self.add(
                "metrics.patterns",
                f"no named group of `patterns` is {metric!r}, the objective's metric; {found}",
                meant(metric, groups) or f"Add a pattern with the group (?P<{metric}>...).",
            )

    def template(self, spec: TaskSpec) -> None:
        """Check that every value has its place in the file of [config], with the values that a study starts from."""
        config = spec.config
        if config is None:
            return
        places = spec.config_paths()
        text = ""
        if config.template is not None:
            try:
                text = (self.folder / config.template).read_bytes().decode("utf-8-sig")
                leaves = paths(text, config.written_format)
            except OSError as error:
                self.add(
                    "config.template",
                    f"{config.template} cannot be read: {error.strerror}",
                    "Check its permissions.",
                )
                return
            except ValueError as error:
                self.add(
                    "config.template",
                    f"{config.template} is not {config.written_format.upper()}: {error}",
                    "Correct the file, or name its `format`.",
                )
                return
            for name, path in places.items():
                deeper = [leaf for leaf in leaves if leaf.endswith(f".{path}")]
                if name not in config.keys and path not in leaves and deeper:
                    self.add(
                        "config.keys",
                        f"{config.template} has no `{path}` at its top, where {name} would go, but `{deeper[0]}`",
                        f'Add `{_bare(name)} = "{deeper[0]}"` to [config.keys], or `{_bare(name)} = "{path}"` if it belongs there.',
                    )
        done: dict[str, bool] = {}
        for name, path in places.items():
            try:
                render(text, config.written_format, done | {path: True})
            except ValueError as error:
                where = config.template or "the file of [config]"
                self.add(
                    f"config.keys.{name}",
                    f"{name} cannot be written to {where}: {error}",
                    f'Give it another place: `{_bare(name)} = "..."` in [config.keys].',
                )
            else:
                done[path] = True


def _place(key: str) -> str:
    return "the command" if key == "command" else f"`{key}`"


def _bare(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _quoted(value: object) -> str:
    return f'"{toml(value)}"' if isinstance(value, int | float) else '"..."'
