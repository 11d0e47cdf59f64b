"""Measurements: scripts to be run by hand, and what they found."""
