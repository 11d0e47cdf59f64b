"""How commands end when nobody reads on, and when somebody says stop."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""
NOBODY_READS = 141
"""128 and the number of SIGPIPE: what `yes | head` reports of `yes`."""


class Commands(TyperGroup):
    """The root of the command tree. Typer itself would end with 1, which here means that a model or the store failed."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse; `--help` and `--version` print here."""
        with _ending():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _ending():
            return super().invoke(ctx)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # so that a reader who has gone is noticed here and not at the interpreter's end
    except BrokenPipeError:
        _drop_output()
        raise typer.Exit(NOBODY_READS) from None
    except SystemExit as ended:
        if isinstance(
            ended.__context__, BrokenPipeError
        ):  # rich ends with 1 when nobody reads what it prints
            raise typer.Exit(NOBODY_READS) from None
        raise
    except KeyboardInterrupt:
        with contextlib.suppress(BrokenPipeError):
            print("interrupted", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def _drop_output() -> None:
    """Nobody reads it, and what is still buffered must not fail again when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file, in tests
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
