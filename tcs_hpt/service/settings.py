"""How the service is run: a value that `tcs-hpt serve` fills in."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tcs_hpt.errors import UserError

TOKEN_VARIABLE = "TCS_HPT_TOKEN"
"""Holds the token that requests must show."""
FEWEST_TOKEN_CHARACTERS = 16
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})
"""Addresses to listen on that are no names of a host."""


@dataclass(frozen=True)
class ServiceSettings:
    """Where the service listens, whom it lets in, and what it may run."""

    store: str = ""
    """The database, as `Store.open` takes it; empty for the usual one."""
    host: str = "127.0.0.1"
    token: str = ""
    """What requests must show as `Authorization: Bearer TOKEN`; empty to let everybody in."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names under which the service is reached."""
    model_hosts: tuple[str, ...] = ()
    """Hosts, besides this one, whose OpenAI-compatible servers a study may name as its model."""
    tasks_dirs: tuple[Path, ...] = ()
    """Folders whose subfolders are tasks that may be run."""
    poll_seconds: float = 0.25
    """Between two looks for new events, while somebody listens."""
    max_body_bytes: int = 1024 * 1024
    clock: Callable[[], float] = time.time
    """Seconds since 1970, UTC."""

    def __post_init__(self) -> None:
        """Refuse what would let strangers in.

        Raises:
            UserError: The host can be reached from elsewhere and there is no token, or the token is too short.
        """
        if self.token and (len(self.token) < FEWEST_TOKEN_CHARACTERS or not self.token.isascii()):
            raise UserError(
                f"the token must be at least {FEWEST_TOKEN_CHARACTERS} ASCII characters, got {len(self.token)}",
                hint="For example what `openssl rand -hex 16` prints.",
            )
        if not self.token and not is_loopback(self.host):
            raise UserError(
                f"--host {self.host} lets other machines in, and there is no token that they must show",
                hint=f"Set {TOKEN_VARIABLE} or --token-file, or leave out --host to serve this machine alone.",
            )

    @property
    def host_names(self) -> frozenset[str]:
        """What the `Host` header of a request may name, in lower case, without ports."""
        own = set() if self.host in EVERYWHERE else {self.host}
        return LOOPBACK_NAMES | {name.lower().strip("[]") for name in own | set(self.allowed_hosts)}


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(file: Path) -> str:
    """The token in a file: its first line.

    Raises:
        UserError: It cannot be read, or is empty.
    """
    try:
        lines = file.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the token cannot be read from {file}: {error}", hint="Check --token-file."
        ) from error
    if not (token := lines[0].strip()):
        raise UserError(f"the token file {file} is empty", hint="Write the token on its first line.")
    return token
