"""The addresses of servers as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from qcore.model.errors import BadParams

__all__ = ["DEFAULT_URL", "parse_urls"]

DEFAULT_PORT = 8080
DEFAULT_URL = f"ws://127.0.0.1:{DEFAULT_PORT}"


def parse_urls(urls: str | Iterable[str]) -> list[str]:
    """Return ``ws://host:port`` or ``wss://host:port`` for each address, in order, each once.

    An address may lack the scheme, and then the port too; commas separate several.

    Raises:
        BadParams: one of them is no address, or there is none.
    """
    texts = [urls] if isinstance(urls, str) else list(urls)
    parts = [part.strip() for text in texts for part in text.split(",")]
    found = list(dict.fromkeys(_parse(part) for part in parts if part))
    if not found:
        raise BadParams("no URL given; expected ws://host:port, wss://host:port or host:port")
    return found


def _parse(text: str) -> str:
    bare = "://" not in text
    try:
        url = urlsplit(f"ws://{text}" if bare else text)
        port = url.port or (DEFAULT_PORT if bare else None)
    except ValueError as exc:
        raise BadParams(f"URL {text!r}: {exc}") from None
    if url.scheme not in ("ws", "wss") or not url.hostname or url.path not in ("", "/") or url.query or url.fragment:
        raise BadParams(f"URL {text!r}: expected ws://host:port, wss://host:port or host:port")
    if url.username or url.password:
        raise BadParams("a URL holds no user name or password")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + (f":{port}" if port else "")
