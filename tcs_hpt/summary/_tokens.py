"""How long a text is for a language model, without its tokenizer."""

from __future__ import annotations

import math
import re

_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Za-z][a-z]*|\d|[^\sA-Za-z\d]|\n")


def estimate_tokens(text: str) -> int:
    """Estimated length in tokens, without a tokenizer.

    Counts one token per digit, punctuation mark and line break, one per five letters of a word (two of a word in
    capitals), and one per byte beyond ASCII. Byte-pair vocabularies of today's small models split digits and merge
    common words, so this tends to be a little high; `tests/test_token_estimate.py` checks it against two of them.
    """
    count = 0
    for piece in _PIECES.findall(text):
        if not piece[0].isascii():
            count += len(piece.encode())
        elif piece.isalpha():
            count += math.ceil(len(piece) / (2 if piece.isupper() else 5))
        else:
            count += 1
    return count
