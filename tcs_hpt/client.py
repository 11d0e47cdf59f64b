"""What a training script imports: `trial = tcs_hpt.current_trial()`.

Standard library only, quick to import. Under the engine the trial is a folder: `config.json` is read, `metrics.jsonl` and
`result.json` are written. Run by hand, the parameters are the defaults of the `task.toml` beside the script
(`TCS_HPT_PROFILE` chooses a profile, `TCS_HPT_SEED` the seed), and what is reported is printed.

Reporting never breaks a training run because the engine or its folder is gone or its disk is full; it warns once and goes
on. It may be done from any thread and from forked and spawned workers, each of which counts its own epochs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import operator
import os
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, SupportsIndex

REFUSED = 64
"""Exit code with which a script refuses its parameters (EX_USAGE); the trial becomes `invalid`."""

METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
"""What a metric may be called; matched in full."""


class CurrentTrial:
    """The trial this process trains for. Safe to use from several threads. Made by `current_trial`."""

    def __init__(self, settings: Mapping[str, Any], folder: Path | None) -> None:
        self.config: dict[str, Any] = dict(settings["params"])
        """The tuned parameters that are active, and their values."""
        self.fixed: dict[str, Any] = dict(settings["fixed"])
        """Values of the task that are not tuned."""
        self.params: dict[str, Any] = {**self.fixed, **self.config}
        """Tuned and fixed together. A parameter whose condition is not met is absent."""
        self.seed: int = settings["seed"]
        """Seed everything random in the training with this; data splits must not depend on it."""
        self.profile: str = settings["profile"]
        """Size of the task; empty for the bare manifest."""
        self.number: int = settings["trial"]
        """1, 2, 3, ...; 0 when run by hand."""
        data_dir = settings.get("data_dir") or os.environ.get("TCS_HPT_DATA_DIR")
        self.data_dir: Path | None = Path(data_dir).absolute() if data_dir else None
        """Where the user keeps data sets; None when nobody said."""
        self.folder: Path = folder if folder is not None else Path.cwd()
        """The trial's own folder; the current one when run by hand.

        `checkpoint` or `checkpoint.*` in it is there again when the trial was interrupted and is tried again, and when the same
        configuration goes on with more epochs.
        """
        self._by_hand = folder is None
        self._last_epoch = 0
        self._finished = False
        self._torn = False
        self._warned = False

    def report(self, *, epoch: SupportsIndex | float | None = None, **metrics: object) -> None:
        """Report one epoch; the engine sees it at once.

        Args:
            epoch: Its number; left out, epochs count 1, 2, 3, ...
            metrics: Numbers by name; anything that `float()` takes, also NaN and infinity. Names starting with
                `test_` are kept from whoever chooses the next configuration.

        Raises:
            TypeError: A value is not a number.
            ValueError: A name or the epoch cannot be used.

        After `finish` nothing is reported any more.
        """
        values = _numbers(metrics)
        if isinstance(epoch, float) and epoch.is_integer():
            epoch = int(epoch)
        number = None if epoch is None else operator.index(epoch)  # type: ignore[arg-type]  # 1.5 is a TypeError
        if number is not None and number < 0:
            raise ValueError(f"`epoch` must not be negative, got {number}")
        with _lock:
            self._last_epoch = self._last_epoch + 1 if number is None else number
            if self._by_hand:
                print(f"epoch {self._last_epoch:>3}  {_readable(values)}", flush=True)
            elif self._finished:
                self._warn("report() after finish() is ignored")
            else:
                self._append(json.dumps({"epoch": self._last_epoch, **values}) + "\n")

    def _append(self, line: str) -> None:
        # After half a line, for which the disk had room, a line of its own.
        data = ("\n" * self._torn + line).encode()
        try:
            handle = os.open(self.folder / "metrics.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                written = os.write(
                    handle, data
                )  # one write, so that workers do not write into each other's lines
            finally:
                os.close(handle)
            self._torn = written < len(data)
            if self._torn:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._warn(f"cannot write to {self.folder} ({error}); going on without")

    def finish(self, **metrics: object) -> None:
        """Report the final metrics, the objective among them; the last thing a script does.

        Raises:
            TypeError: A value is not a number.
            ValueError: A name cannot be used, or there is no metric.
        """
        values = _numbers(metrics)
        if not values:
            raise ValueError("finish() needs at least one metric, the objective of the task")
        with _lock:
            if self._by_hand:
                print(f"finished   {_readable(values)}", flush=True)
                return
            self._finished = True
            partial = self.folder / f"result.json.{os.getpid()}"
            try:
                partial.write_text(json.dumps(values) + "\n", encoding="utf-8")
                os.replace(partial, self.folder / "result.json")
            except OSError as error:
                self._warn(f"cannot write to {self.folder} ({error}); going on without")
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)

    def should_stop(self) -> bool:
        """Whether the engine asks the script to end early; then call `finish` and leave."""
        return not self._by_hand and os.path.exists(self.folder / "stop")

    def artifact(self, path: str | os.PathLike[str]) -> Path:
        """Where to write a file that shall be kept with the trial, e.g. `model.pt`; its folder is made.

        Raises:
            ValueError: The path leads out of the artifacts folder.
        """
        home = Path(os.path.abspath(self.folder / "artifacts"))
        place = Path(os.path.abspath(home / path))
        if place == home or home not in place.parents:
            raise ValueError(f"an artifact must stay inside the trial's folder, got {os.fspath(path)!r}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._warn(f"cannot write to {self.folder} ({error}); going on without")
        return place

    def refuse(self, message: str) -> NoReturn:
        """End the script because its parameters cannot be trained, e.g. two that do not fit together.

        The trial is recorded as `invalid` with this message.
        """
        print(message, file=sys.stderr, flush=True)
        raise SystemExit(REFUSED)

    def _warn(self, message: str) -> None:
        if not self._warned and sys.stderr is not None:
            self._warned = True
            with contextlib.suppress(OSError, ValueError):  # a closed stderr must not end the training either
                print(f"tcs_hpt: {message}", file=sys.stderr, flush=True)


_made: dict[tuple[str | None, ...], CurrentTrial] = {}
_making = threading.Lock()
_lock = threading.Lock()
"""Held while something is reported."""


def _renew_locks() -> None:
    # In a worker just forked: a thread that held one of them was left behind and will never release it.
    global _making, _lock
    _making, _lock = threading.Lock(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def current_trial() -> CurrentTrial:
    """The trial this process was started for; the same object however often it is asked.

    Raises:
        UserError: Run by hand, and there is no usable `task.toml` beside the script.
        TaskError: The engine's `config.json` cannot be read.
    """
    folder = os.environ.get("TCS_HPT_TRIAL_DIR", "")
    by_hand = (str(_script_folder()), os.environ.get("TCS_HPT_PROFILE"), os.environ.get("TCS_HPT_SEED"))
    key = (folder,) if folder else by_hand
    with _making:
        if key not in _made:
            _made[key] = _from_engine(Path(folder).absolute()) if folder else _by_hand(_script_folder())
        return _made[key]


def _from_engine(folder: Path) -> CurrentTrial:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return CurrentTrial(settings, folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        from tcs_hpt.errors import TaskError

        raise TaskError(
            f"TCS_HPT_TRIAL_DIR is {str(folder)!r}, but its config.json cannot be used ({error!r})",
            hint="Unset TCS_HPT_TRIAL_DIR to run the script by hand.",
        ) from error


def _script_folder() -> Path:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    script = main or (sys.argv[0] if sys.argv and sys.argv[0].endswith(".py") else None)
    return Path(script).absolute().parent if script else Path.cwd()


def _by_hand(folder: Path) -> CurrentTrial:
    import tomllib  # only needed here

    from tcs_hpt.errors import UserError

    manifest, profile = folder / "task.toml", os.environ.get("TCS_HPT_PROFILE", "")
    try:
        task = tomllib.loads(manifest.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(
            f"there is no task.toml in {folder}, so the script has no parameters",
            hint="Write one; `tcs-hpt tasks show mlp_digits` names a folder to copy.",
        ) from error
    except ValueError as error:
        raise UserError(
            f"{manifest} cannot be read: {error}", hint=f"See what is wrong: tcs-hpt tasks check {folder}"
        ) from error
    profiles = task.get("profiles", {})
    if profile and profile not in profiles:
        raise UserError(
            f"TCS_HPT_PROFILE is {profile!r}, which the task does not have",
            hint=f"Profiles of this task: {', '.join(profiles) or 'none'}.",
        )
    overrides = profiles.get(profile, {})
    changed = overrides.get("params", {})
    params = {name: {**table, **changed.get(name, {})} for name, table in task.get("params", {}).items()}
    try:
        config = _defaults(params)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{manifest} has a parameter that cannot be read ({error!r})",
            hint=f"See what is wrong: tcs-hpt tasks check {folder}",
        ) from error
    fixed = {**task.get("fixed", {}), **overrides.get("fixed", {})}
    seed = os.environ.get("TCS_HPT_SEED", "0")
    if not seed.isdecimal():
        raise UserError(f"TCS_HPT_SEED must be a whole number, got {seed!r}", hint="Write it as in 3.")
    settings = {"params": config, "fixed": fixed, "seed": int(seed), "profile": profile, "trial": 0}
    return CurrentTrial(settings, None)


def _defaults(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The default of every active parameter, as `SearchSpace.defaults` has it, which is too heavy to import here."""
    found: dict[str, Any] = {}

    def active(name: str) -> bool:
        return all(
            parent in found
            and any((type(found[parent]) is bool) == (type(v) is bool) and found[parent] == v for v in values)
            for parent, values in params[name].get("when", {}).items()
        )

    for _ in params:  # a parent may stand below its children; a chain is at most this long
        found = {name: _default(table) for name, table in params.items() if active(name)}
    return found


def _default(parameter: Mapping[str, Any]) -> Any:
    """The declared default, else the middle of the scale."""
    if "default" in parameter:
        default = parameter["default"]
        return float(default) if parameter["type"] == "float" else default
    if parameter["type"] == "categorical":
        return parameter["choices"][(len(parameter["choices"]) - 1) // 2]
    low, high, step = parameter["low"], parameter["high"], parameter.get("step")
    centre = low + (high - low) / 2
    if parameter.get("log"):
        centre = math.sqrt(low) * math.sqrt(high)
    elif step is not None:
        centre = low + step * math.floor((centre - low) / step + 0.5)
    if parameter["type"] == "int":
        return min(max(round(centre), low), high)
    if parameter.get("log"):
        centre = float(f"{centre:.2e}")
    elif step is None:
        centre = round(centre, math.ceil(-math.log10((high - low) / 1000)))
    return min(max(float(f"{centre:.12g}"), float(low)), float(high))


def _numbers(metrics: Mapping[str, object]) -> dict[str, float | None]:
    return {_named(name): _number(name, value) for name, value in metrics.items()}


def _named(name: str) -> str:
    if not METRIC_NAME.fullmatch(name):
        raise ValueError(
            f"a metric's name must be letters, digits, `_`, `.` or `-`, a letter or `_` first, "
            f"at most 64 characters; got {name!r}"
        )
    return name


def _number(name: str, value: Any) -> float | None:
    """`value` as a finite float, or None for NaN and infinity."""
    is_number = hasattr(value, "__float__") and not getattr(value, "ndim", 0)
    if not is_number or type(value).__name__ in ("bool", "bool_"):
        raise TypeError(f"metric {name!r} must be a single number, got {value!r}")
    if hasattr(value, "detach"):
        value = value.detach()  # a tensor with gradients would warn
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _readable(values: Mapping[str, float | None]) -> str:
    return "  ".join(f"{n} {'not finite' if v is None else f'{v:.4g}'}" for n, v in values.items())
