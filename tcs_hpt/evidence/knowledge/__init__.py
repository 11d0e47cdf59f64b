"""What experience knows of hyperparameters by name: first values, ranges worth trying, interactions, with sources.

The tables are data, one module per group of model families, every entry with its source. Nothing here widens the user's range,
and nothing is said where a name could mean several things. Pure: no files, clock or random numbers.

Not covered: names in other languages than English, values that depend on the size of the data, and architectures
(`kernel_size` is about all there is).
"""

from tcs_hpt.evidence.knowledge._knowledge import Advice, Knowledge, knowledge

__all__ = ["Advice", "Knowledge", "knowledge"]
