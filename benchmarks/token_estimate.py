"""The token estimator against real tokenizers, on state reports and prompts.

    python benchmarks/token_estimate.py [--model embedded:NAME]... [--record]

`--record` writes the counts of Qwen2.5's tokenizer for the texts in tests/golden to tests/data, where a test reads them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tcs_hpt.llm.opening import open_model
from tcs_hpt.summary import estimate_tokens

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
RECORDED = ROOT / "tests" / "data" / "qwen_token_counts.json"


def main() -> None:
    """Print estimate, real counts and their ratio for every golden text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    texts = {p.stem: p.read_text(encoding="utf-8") for p in sorted(GOLDEN.glob("*.txt"))}
    for name in arguments.model or ["embedded:smollm2-135m"]:
        model, _ = open_model(name)
        counts = {stem: model.token_count(text) for stem, text in texts.items()}  # type: ignore[attr-defined]
        model.close()
        table = Table(title=f"{name}: estimate against tokenizer")
        for column in ("text", "estimated", "real", "estimated / real"):
            table.add_column(column, justify="right")
        for stem, text in texts.items():
            estimate = estimate_tokens(text)
            table.add_row(stem, str(estimate), str(counts[stem]), f"{estimate / counts[stem]:.2f}")
        Console().print(table)
        if arguments.record and "qwen" in name:
            recorded = {hashlib.sha256(texts[s].encode()).hexdigest(): n for s, n in counts.items()}
            RECORDED.parent.mkdir(exist_ok=True)
            RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
