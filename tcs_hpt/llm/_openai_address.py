"""Where an OpenAI-compatible server is, which key goes there, and what of it must not be shown."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from tcs_hpt.errors import UserError

OPENAI_HOST = "api.openai.com"
HIDDEN = "***"
KEY_LOOKALIKE = re.compile(r"\bsk-[\w*-]{4,}")
"""OpenAI repeats a wrong key with only its middle hidden."""


@dataclass(frozen=True)
class Address:
    """A base URL and what proves that one may use it."""

    url: httpx.URL = field(repr=False)
    """Without user and password; a query string in it is sent with every request."""
    place: str
    """The base URL for people: without secrets, and without a slash at its end."""
    key: SecretStr
    """Empty when there is none."""
    login: tuple[str, SecretStr] | None
    """User and password for HTTP basic authentication, used while there is no key."""
    secrets: tuple[SecretStr, ...]
    """What must not be shown, in all forms in which it is sent, the longest first."""

    @classmethod
    def of(cls, base_url: str, api_key: str | None = None) -> Address:
        """From a URL such as `http://localhost:8000/v1`.

        Args:
            base_url: As the user wrote it.
            api_key: The key; by default from the environment, and none when empty.

        Raises:
            UserError: The URL or the key cannot be one.
        """
        given = _parsed(base_url)
        path = given.path.rstrip("/").removesuffix("/chat/completions")
        url = given.copy_with(userinfo=b"", fragment=None, path=path or "/")
        key = _checked(_key_for(given) if api_key is None else api_key.strip())
        return cls(
            url=url,
            place=str(url.copy_with(query=None)).rstrip("/"),
            key=SecretStr(key),
            login=(given.username, SecretStr(given.password)) if given.userinfo else None,
            secrets=tuple(SecretStr(secret) for secret in _secrets(given, key)),
        )

    def __truediv__(self, path: str) -> httpx.URL:
        """The URL of something below it, e.g. `address / "models"`."""
        return self.url.copy_with(path=f"{self.url.path.rstrip('/')}/{path}")

    @property
    def is_here(self) -> bool:
        """Whether the server is on this machine."""
        if self.url.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.url.host).is_loopback
        except ValueError:
            return False

    def scrub(self, text: str) -> str:
        """A text from elsewhere without what must not be shown."""
        for secret in self.secrets:
            text = text.replace(secret.get_secret_value(), HIDDEN)
        return KEY_LOOKALIKE.sub(HIDDEN, text)


def _parsed(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url.strip())
    except httpx.InvalidURL:
        # Without the cause: it may quote a piece of a password.
        raise UserError(
            "the base URL of the model server cannot be read",
            hint="Write it as http://host:8000/v1, with special characters in a password percent-encoded.",
        ) from None
    if url.scheme not in ("http", "https") or not url.host:
        shown = str(url.copy_with(query=None, fragment=None)).rpartition("@")[2]
        raise UserError(
            f"the base URL of a model server begins with http:// or https:// and a host, got `{shown}`",
            hint="Write it as http://host:8000/v1.",
        )
    return url


def _key_for(url: httpx.URL) -> str:
    """The key in the environment that may be sent to this server."""
    own = os.environ.get("TCS_HPT_API_KEY", "").strip()
    if own:
        return own
    if url.scheme == "https" and url.host == OPENAI_HOST:
        return os.environ.get("OPENAI_API_KEY", "").strip()
    return ""


def _checked(key: str) -> str:
    # Before the HTTP library sees it, whose complaint would show it.
    if key and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise UserError(
            "the API key holds spaces or characters outside ASCII, which no key has",
            hint="Set TCS_HPT_API_KEY to the key alone.",
        )
    return key


def _secrets(url: httpx.URL, key: str) -> list[str]:
    plain = [key, url.password, url.userinfo.decode(errors="replace"), url.query.decode(errors="replace")]
    plain += [value for _, value in url.params.multi_items()]
    forms = {form for secret in plain if secret for form in (secret, quote(secret, safe=""))}
    if url.userinfo:
        forms.add(base64.b64encode(f"{url.username}:{url.password}".encode()).decode())
    return sorted(forms, key=len, reverse=True)
