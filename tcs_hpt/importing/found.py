"""What reading a script brings to light, as values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from tcs_hpt.spec import Scalar

Kind: TypeAlias = Literal["float", "int", "text", "bool", "unknown"]
"""Of a value, as the script declares it; `unknown` where neither a type nor a default tells."""

Way: TypeAlias = Literal["flag", "toggle", "override", "config", "env", "setting", "report"]
"""How a value reaches the script: a flag with a value, flags without (`--bn/--no-bn`, or `--bn` alone), a Hydra override, a config file, an
environment variable, a literal that the launcher replaces, or `trial.params` of a script that knows this package."""


@dataclass(frozen=True)
class Route:
    """How a value reaches the script."""

    way: Way
    key: str
    """`--lr`; `optimizer.lr`; `LR`; `Config.lr`, as the way has it."""
    off: str = ""
    """Of a toggle: the flag that switches it off; empty for a lone flag, which is given or left out."""
    gives: bool = True
    """Of a lone flag: the value that it stands for; false for `store_false`."""

    def __str__(self) -> str:
        texts = {
            "flag": self.key,
            "toggle": f"{self.key}/{self.off}" if self.off else f"{self.key} or not",
            "override": f"{self.key}=...",
            "config": f"config file, {self.key}",
            "env": f"${self.key}",
            "setting": f"{self.key} in the code",
            "report": f"trial.params[{self.key!r}]",
        }
        return texts[self.way]


@dataclass(frozen=True)
class Found:
    """Something that can be set from outside; whether it is a hyperparameter is decided later."""

    name: str
    default: Scalar | None
    """None when the script has none, or has the default None."""
    route: Route
    line: int
    """In the script, or in its config file."""
    kind: Kind = "unknown"
    choices: tuple[Scalar, ...] = ()
    guessed_choices: bool = False
    """Whether the choices were gathered from comparisons rather than declared."""
    help: str = ""
    """What the script says about it."""
    needs_knowledge: bool = False
    """A literal that is a hyperparameter only when its name is a known one."""

    def renamed(self, name: str) -> Found:
        """The same under another name."""
        return replace(self, name=name)


@dataclass(frozen=True)
class LeftOut:
    """Something that can be set and is not tuned."""

    name: str
    default: Scalar | None
    place: str
    reason: str


@dataclass(frozen=True)
class ConfigFile:
    """A file with settings that the script opens."""

    path: Path
    format: Literal["json", "yaml", "toml"]
    flag: str = ""
    """The flag that names it (`--config`)."""
    literal: str = ""
    """Without a flag: how the code names it, for the launcher to replace."""
    argument: bool = False
    """Whether it is among the arguments that the user gave."""


@dataclass(frozen=True)
class Settable:
    """All that one style of script lets people set."""

    found: tuple[Found, ...] = ()
    prefix: tuple[str, ...] = ()
    """What every command line needs: the name of a subcommand, which comes first, and flags that are always given."""
    required: tuple[str, ...] = ()
    """Arguments that the script will not start without."""
    config: ConfigFile | None = None


def kind_of(value: object) -> Kind:
    """The kind that a default tells."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) else "unknown"


def scalar(value: object) -> Scalar | None:
    """The value if it is one that a parameter can have."""
    return value if isinstance(value, bool | int | float | str) else None


def identifier(text: str) -> str:
    """A flag or key as the manifest names it: `--learning-rate` is `learning_rate`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text.strip("-"))
    kept = kept.strip("_") or "value"
    return (kept if not kept[0].isdigit() else f"p_{kept}")[:64]


@dataclass
class Named:
    """Hands out names that differ from each other."""

    taken: set[str] = field(default_factory=set)

    def of(self, found: Found) -> Found:
        """The finding under a name that no other has: its own, else with the owner in front, else numbered."""
        for name in (found.name, identifier(found.route.key.replace(".", "_").lower())):
            if name not in self.taken:
                self.taken.add(name)
                return found.renamed(name)
        number = next(n for n in range(2, 10_000) if f"{found.name}_{n}" not in self.taken)
        self.taken.add(f"{found.name}_{number}")
        return found.renamed(f"{found.name}_{number}")
