"""Comparisons: rows, means and differences, and how they are shown."""
