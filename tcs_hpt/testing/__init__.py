"""Contracts as inheritable test classes, for backends in this package and outside it."""
