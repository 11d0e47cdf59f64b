"""Several processes that do the same thing at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

IMPORTS = """
import optuna.storages
from tcs_hpt.events import StudyEnded
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import simple_trial, study_spec
"""

LAUNCH = """
import json, os, sys, traceback
code = compile(sys.argv[1], "code", "exec")
gate, latch = os.pipe()
for arguments in json.loads(sys.argv[2]):
    if os.fork() == 0:
        os.close(latch)
        os.read(gate, 1)  # until the parent closes the other end
        try:
            exec(code, {**globals(), "arguments": arguments})
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0)
os.close(latch)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
"""Forks after the imports, which take longer than what the processes then do."""


def run_at_once(code: str, *arguments: Sequence[str]) -> str:
    """What processes print that run `code` together, each with its own `arguments`; empty when all went well."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS + LAUNCH, code, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
