"""Evidence as the Analysis Agent reads it: words and order, no numbers to compute with."""

from __future__ import annotations

from tcs_hpt.evidence.candidates import CandidateList
from tcs_hpt.evidence.gather import Evidence
from tcs_hpt.summary import estimate_tokens

EVIDENCE_TOKENS = 260
"""Most that the evidence adds to a state report, in estimated tokens; lines that do not fit are left out from the end."""


def evidence_text(evidence: Evidence, offered: CandidateList) -> str:
    """The section EVIDENCE: notes, the changes on offer in order with their reasons, and others that would probably hurt.

    Args:
        evidence: What is known.
        offered: The changes that the agents may choose from, best first.
    """
    lines = [f"- {note}" for note in evidence.notes]
    lines.append("Best changes by the evidence, in order:")
    lines += [f"{place}. {c.change.text}. {c.reason}" for place, c in enumerate(offered.candidates, start=1)]
    hurting = [c.change.text for c in evidence.listed.candidates if c.hurts and c not in offered.candidates]
    if hurting:
        lines.append(f"Would probably hurt: {'; '.join(hurting)}.")
    kept: list[str] = ["EVIDENCE"]
    for line in lines:
        if estimate_tokens("\n".join([*kept, line])) > EVIDENCE_TOKENS:
            break
        kept.append(line)
    return "\n".join(kept) + "\n"
