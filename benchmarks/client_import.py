"""What importing the client adds to the start of a training script, against bare Python, side by side.

    python benchmarks/client_import.py [--repeats 30]

Torch and scikit-learn import most of the same standard modules, so a real script pays less than the first row.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

CASES = {
    "bare Python": "pass",
    "import tcs_hpt": "import tcs_hpt",
    "import tcs_hpt, current_trial": "import tcs_hpt; tcs_hpt.current_trial",
    "import numpy, for comparison": "import numpy",
}


def main() -> None:
    """Print one row per statement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(repeats):
        for name, code in CASES.items():  # in turns, so that a busy moment meets all
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            seconds[name].append(time.perf_counter() - begin)
    bare = statistics.median(seconds["bare Python"])
    table = Table(title=f"start of a script, medians of {repeats}")
    for column in ("statement", "milliseconds", "added", "ratio"):
        table.add_column(column, justify="left" if column == "statement" else "right")
    for name, values in seconds.items():
        median = statistics.median(values)
        table.add_row(name, f"{median * 1e3:.0f}", f"{(median - bare) * 1e3:.0f}", f"{median / bare:.2f}")
    Console(width=90).print(table)


if __name__ == "__main__":
    main()
