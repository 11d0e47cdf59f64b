"""Flags of a script built on `LightningCLI(Model, Data)`: `fit --model.lr 0.01 --data.batch_size 32 --trainer.max_epochs 10`.

The classes may stand in the script or in a module beside it. A config file that the user gives (`-- fit --config config.yaml`) is read as any
other; what stands in it is set there. Without one, and where the code names no logger, a CSV logger is asked for, so that there
are numbers to read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from tcs_hpt.importing.found import Found, Kind, Route, Settable, kind_of, scalar
from tcs_hpt.importing.metric_found import Place
from tcs_hpt.importing.script import Script, called, keyword, open_script

_TYPES: dict[str, Kind] = {"float": "float", "int": "int", "str": "text", "bool": "bool"}
_SUBCOMMAND = "fit"
LOGGED = Place("{trial_dir}/lightning_logs/version_*/metrics.csv", "csv")
"""Where the CSV logger that is asked for writes."""


def call_of(script: Script) -> ast.Call | None:
    """Where the script starts its command line; None when it is not built on `LightningCLI`."""
    names = {"LightningCLI"} | {
        c.name for c in script.classes() if any(called(b) == "LightningCLI" for b in c.bases)
    }
    return next((c for c in script.calls if called(c) in names), None)


def find(script: Script, arguments: Sequence[str]) -> Settable:
    """The defaults of the two classes' constructors and of the trainer, and the words that start the training.

    Args:
        script: The script.
        arguments: What the user gives it; of a config file among them everything is set there.
    """
    call = call_of(script)
    if call is None:
        return Settable()
    found = [
        *_constructor(script, _class(script, call, 0, "model_class"), "model"),
        *_constructor(script, _class(script, call, 1, "datamodule_class"), "data"),
        *_trainer(script, call),
    ]
    if any(a in ("--config", "-c") or a.startswith("--config=") for a in arguments):
        found = []
    seed = Found("seed", 0, Route("flag", "--seed_everything"), call.lineno, "int")
    return Settable((*found, seed), _words(script, call, arguments))


def modules(script: Script) -> tuple[Script, ...]:
    """The modules beside the script in which the two classes stand, where they do not stand in the script."""
    call = call_of(script)
    if call is None:
        return ()
    homes = (_class(script, call, 0, "model_class"), _class(script, call, 1, "datamodule_class"))
    return tuple(dict.fromkeys(h[0] for h in homes if h is not None and h[0] is not script))


def logs_to_csv(script: Script) -> bool:
    """Whether the command line asks for the logger that writes `LOGGED`."""
    call = call_of(script)
    return call is not None and not _names_logger(script)


def _words(script: Script, call: ast.Call, arguments: Sequence[str]) -> tuple[str, ...]:
    run = script.value(keyword(call, "run")) is not False
    words = (_SUBCOMMAND,) if run else ()
    if _names_logger(script):
        return words
    package = "pytorch_lightning" if "pytorch_lightning" in script.imported else "lightning.pytorch"
    logger = f"{package}.loggers.CSVLogger"
    return (*words, f"--trainer.logger={logger}", "--trainer.logger.save_dir={trial_dir}")


def _names_logger(script: Script) -> bool:
    return any(called(c).endswith("Logger") for c in script.calls)


def _class(script: Script, call: ast.Call, place: int, name: str) -> tuple[Script, ast.ClassDef] | None:
    """A class that the call names, with the script that defines it: this one, or a module beside it."""
    node = keyword(call, name) or (call.args[place] if len(call.args) > place else None)
    if node is None:
        return None
    wanted = called(node)
    for one in (script, *_beside(script, wanted)):
        for defined in one.classes():
            if defined.name == wanted:
                return one, defined
    return None


def _beside(script: Script, name: str) -> Iterator[Script]:
    """The modules of the script's folder from which it imports a name."""
    for node in script.nodes:
        if isinstance(node, ast.ImportFrom) and node.module and any(a.name == name for a in node.names):
            path = script.folder.joinpath(*node.module.split(".")).with_suffix(".py")
            if path.is_file():
                yield open_script(path)


def _constructor(script: Script, found: tuple[Script, ast.ClassDef] | None, owner: str) -> Iterator[Found]:
    """The arguments of a constructor that have a default."""
    if found is None:
        return
    home, defined = found
    function = next(
        (s for s in defined.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None
    )
    if function is None:
        return
    plain = [*function.args.posonlyargs, *function.args.args]
    pairs = [
        *zip(plain[len(plain) - len(function.args.defaults) :], function.args.defaults, strict=True),
        *zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        value = scalar(home.value(default))
        if value is None:
            continue
        kind = _TYPES.get(called(argument.annotation), "unknown") if argument.annotation else "unknown"
        kind = kind_of(value) if kind == "unknown" else kind
        if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        line = argument.lineno if home is script else 0
        yield Found(argument.arg, value, Route("flag", f"--{owner}.{argument.arg}"), line, kind)


def _trainer(script: Script, call: ast.Call) -> Iterator[Found]:
    """What the script itself gives the trainer: `trainer_defaults={"max_epochs": 5}`."""
    given = keyword(call, "trainer_defaults")
    if isinstance(given, ast.Dict):
        pairs = [(script.value(k), v) for k, v in zip(given.keys, given.values, strict=True)]
    elif isinstance(given, ast.Call) and called(given) == "dict":
        pairs = [(k.arg, k.value) for k in given.keywords]
    else:
        return
    for name, node in pairs:
        value = scalar(script.value(node))
        if isinstance(name, str) and value is not None:
            yield Found(name, value, Route("flag", f"--trainer.{name}"), node.lineno, kind_of(value))
