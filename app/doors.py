"""Doors: to whom this server opens, decided once at the start from address and environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from app.accounts import ISSUER, Accounts, accounts, loopback, origin

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PATIENCE = 10.0  # s for the provider to answer
LARGEST = 2**20  # bytes that a provider may say about itself
ANYBODY = (
    "HEADLAMP_OPEN is set: nobody signs in, and whoever reaches this address may read, change and "
    "delete everything here. README, For a team, says how people can sign in instead"
)


@dataclass(frozen=True)
class Doors:
    """Who may come in, and by which names."""

    known: Accounts | None = None
    url: str = ""  # where people reach us, if it was said
    hosts: tuple[str, ...] = ()  # names that are answered to; empty: any
    warning: str = ""  # for the terminal


def doors(env: Mapping[str, str], address: str) -> Doors:
    """What holds for a server that listens on `address`; raises ValueError, in a sentence.

    Without sign-in everybody is the one local user, who may do everything: so it serves this
    machine alone unless HEADLAMP_OPEN=1 says that it shall not.
    """
    known = accounts(env)
    said = env.get("HEADLAMP_URL", "").strip()
    url = origin("HEADLAMP_URL", said) if said else ""
    names = (*LOOPBACK, urlsplit(url).hostname or "") if url else LOOPBACK
    if known:
        return Doors(known, url, (*LOOPBACK, known.host))
    if loopback(address):
        return Doors(None, url, names)
    if env.get("HEADLAMP_OPEN") != "1":
        raise ValueError(
            f"HEADLAMP_HOST is {address!r}, which others can reach, and nobody would have to sign "
            "in; configure sign-in (README, For a team), or set HEADLAMP_OPEN=1 if everybody who "
            "can reach it may do everything"
        )
    return Doors(None, url, names if url else (), ANYBODY)


def answering(known: Accounts, transport: httpx.BaseTransport | None = None) -> None:
    """Return when the provider is there and is the one that was named; raises ValueError."""
    try:
        with (
            httpx.Client(transport=transport, timeout=PATIENCE) as client,
            client.stream("GET", known.metadata) as answer,
        ):
            answer.raise_for_status()
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > LARGEST:
                    raise ValueError("the answer is too long")
        said = json.loads(body)
        issuer = str(said["issuer"])
        _ = said["authorization_endpoint"], said["token_endpoint"], said["jwks_uri"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as problem:
        raise ValueError(
            f"{ISSUER}: {known.metadata} does not answer as an OpenID provider does "
            f"({type(problem).__name__}); check the address and that this machine reaches it"
        ) from None
    if issuer.rstrip("/") != known.issuer.rstrip("/"):
        raise ValueError(
            f"{ISSUER} is {known.issuer!r}, but the provider there calls itself {issuer!r}; "
            "give the name that it goes by"
        )


def config(opened: Doors, number: int, address: str) -> dict[str, object]:
    """Streamlit's settings for it."""
    settings: dict[str, object] = {"server.port": number, "server.address": address}
    if opened.hosts:  # another site's page must not reach us under its own name
        settings["server.allowedHosts"] = list(opened.hosts)
    if opened.url:  # a proxy may hand on another Host than the browser's Origin
        settings["server.corsAllowedOrigins"] = [opened.url]
    return settings
