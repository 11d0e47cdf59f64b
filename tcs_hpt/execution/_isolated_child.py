"""What the process of an isolated trial runs: it finds the function again and calls it, as a training script would train.

Run by path, so that it starts without the engine's packages: the standard library and the client only.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from multiprocessing import spawn
from pathlib import Path
from typing import Any

CALL = "call.pickle"
"""In the trial's folder: one line of JSON, then the pickled function."""
LOADING = "TCS_HPT_LOADING_FUNCTION"
"""Set in the environment while the function's module is imported, so that a script which tunes at its top level is told."""


def main() -> None:
    """Load the function, call it, and write what it returned."""
    header, pickled = Path(CALL).read_bytes().split(b"\n", 1)
    settings = json.loads(header)
    os.environ[LOADING] = "1"
    spawn.prepare(settings["prepare"])  # the parent's path, folder and, if it is needed, its main module
    function = pickle.loads(pickled)
    del os.environ[LOADING]

    from tcs_hpt import client

    class Trial(client.CurrentTrial):
        """The client's, whose final metrics add up as they do in the engine's process."""

        _final: Mapping[str, object] = {}

        def finish(self, **metrics: object) -> None:
            self._final = {**self._final, **metrics}
            super().finish(**self._final)

    folder = os.environ["TCS_HPT_TRIAL_DIR"]
    config: dict[str, Any] = json.loads(Path(folder, "config.json").read_bytes())
    trial = Trial(config, Path(folder))
    client._made[(folder,)] = trial  # callbacks of training libraries ask for the current trial
    returned = function(dict(trial.params), trial)
    if returned is not None:
        trial.finish(**(returned if isinstance(returned, Mapping) else {settings["metric"]: returned}))


if __name__ == "__main__":
    main()
