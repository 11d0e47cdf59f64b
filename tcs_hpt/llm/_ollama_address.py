"""Where an Ollama server is, and whether that is this machine."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.parse

from tcs_hpt.errors import UserError

PORT = 11434


def address_of(host: str | None) -> str:
    """A URL with a port, from what a person or OLLAMA_HOST says: `gpu-box`, `:8080`, `https://example.org/ollama`.

    Raises:
        UserError: It is not an address.
    """
    given = (host or os.environ.get("OLLAMA_HOST") or "127.0.0.1").strip()
    try:
        parts = urllib.parse.urlsplit(given if "://" in given else f"//{given}", scheme="http")
        port = parts.port or (PORT if "://" not in given else {"https": 443}.get(parts.scheme, 80))
        name = parts.hostname or "127.0.0.1"
    except ValueError as error:
        raise _not_an_address(given) from error
    if parts.scheme not in ("http", "https") or re.search(r"[\s/\\]", name):
        raise _not_an_address(given)
    # Where a server listens on all addresses, it is reached at its own.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/')}"


def _not_an_address(given: str) -> UserError:
    return UserError(
        f"`{given}` is not the address of a server",
        hint="Write OLLAMA_HOST as `host:port`, e.g. 127.0.0.1:11434.",
    )


def is_local(address: str) -> bool:
    """Whether a URL leads to this machine."""
    name = urllib.parse.urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
