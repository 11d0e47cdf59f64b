"""The command line: parse, call, print. One file per command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tcs_hpt.errors import TcsHptError


def main() -> None:
    """Entry point of `tcs-hpt`.

    Exit status: 0 done; 1 no trial has a score, or model or store failed; 2 wrong use; 130 interrupted; 141 nobody reads
    the output any more (`tcs-hpt ... | head`).
    """
    from tcs_hpt.cli.app import app
    from tcs_hpt.errors import TaskError, TcsHptError, UserError

    try:
        app()
    except TcsHptError as error:
        print_error(error)
        sys.exit(2 if isinstance(error, UserError | TaskError) else 1)


def print_error(error: TcsHptError) -> None:
    """What is wrong and what to do, to standard error."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
