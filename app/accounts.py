"""Accounts: who comes in by the team's OpenID provider, and as what; read from the environment."""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from interp.store import NOBODY, Actor

ISSUER = "HEADLAMP_OIDC_ISSUER"
NEEDED = (
    ISSUER,
    "HEADLAMP_OIDC_CLIENT_ID",
    "HEADLAMP_OIDC_CLIENT_SECRET",
    "HEADLAMP_COOKIE_SECRET",
    "HEADLAMP_URL",
)
LISTS = ("HEADLAMP_ADMINS", "HEADLAMP_EDITORS", "HEADLAMP_VIEWERS")
HOURS = "HEADLAMP_SIGN_IN_HOURS"
WELL_KNOWN = "/.well-known/openid-configuration"
CALLBACK = "/oauth2callback"  # Streamlit's own route, which the provider sends people back to
SHORTEST = 32  # characters of the secret that signs the cookie
CLOCKS = 300.0  # s that the provider's clock may be ahead of ours
LONGEST = 720.0  # hours; Streamlit's cookie lives no longer


@dataclass(frozen=True)
class Accounts:
    """A team's provider and its lists. Secrets stay out of `repr`, and so out of any log."""

    issuer: str
    metadata: str  # address of what the provider says about itself
    url: str  # scheme, host and port under which people reach this server
    client: str
    client_secret: str = field(repr=False)
    cookie_secret: str = field(repr=False)
    admins: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    seconds: float = 12 * 3600.0  # a sign-in holds

    @property
    def host(self) -> str:
        """Host name under which people reach this server."""
        return urlsplit(self.url).hostname or ""

    def secrets(self) -> dict[str, dict[str, str]]:
        """What Streamlit's st.login reads, in its own words."""
        return {
            "auth": {
                "redirect_uri": self.url + CALLBACK,
                "cookie_secret": self.cookie_secret,
                "client_id": self.client,
                "client_secret": self.client_secret,
                "server_metadata_url": self.metadata,
            }
        }


@dataclass(frozen=True)
class Visitor:
    """Whoever asks: the Actor, how a page calls them, and why they are nobody if they are."""

    actor: Actor
    name: str = ""
    why: str = ""  # a sentence for the sign-in page


def accounts(env: Mapping[str, str]) -> Accounts | None:
    """The sign-in that the environment asks for, None without one.

    Raises ValueError, naming the variable, for half a configuration or a wrong one.
    """
    given = {name: env.get(name, "").strip() for name in (*NEEDED, *LISTS, HOURS)}
    if not any(given[name] for name in NEEDED[:4]):
        if stray := [name for name in (*LISTS, HOURS) if given[name]]:
            raise ValueError(
                f"{stray[0]} is set but {ISSUER} is not: nobody signs in, so it would not hold; "
                "configure sign-in (README, For a team) or unset it"
            )
        return None
    if missing := [name for name in NEEDED if not given[name]]:
        raise ValueError(
            f"{missing[0]} is not set, and sign-in needs it; set it, or unset the other "
            "HEADLAMP_OIDC_ variables and HEADLAMP_COOKIE_SECRET to run without sign-in"
        )
    if len(given["HEADLAMP_COOKIE_SECRET"]) < SHORTEST:
        raise ValueError(
            f"HEADLAMP_COOKIE_SECRET has under {SHORTEST} characters; make one with "
            "`python -c 'import secrets; print(secrets.token_hex(32))'`"
        )
    admins, editors, viewers = (people(name, given[name]) for name in LISTS)
    if not admins + editors + viewers:
        raise ValueError(
            "HEADLAMP_ADMINS is not set, nor HEADLAMP_EDITORS, nor HEADLAMP_VIEWERS, so nobody "
            "could come in; list e-mail addresses or @domains, with commas between"
        )
    issuer = address(ISSUER, given[ISSUER]).removesuffix(WELL_KNOWN)
    return Accounts(
        issuer=issuer,
        metadata=issuer.rstrip("/") + WELL_KNOWN,
        url=origin("HEADLAMP_URL", given["HEADLAMP_URL"]),
        client=given["HEADLAMP_OIDC_CLIENT_ID"],
        client_secret=given["HEADLAMP_OIDC_CLIENT_SECRET"],
        cookie_secret=given["HEADLAMP_COOKIE_SECRET"],
        admins=admins,
        editors=editors,
        viewers=viewers,
        seconds=hours(given[HOURS] or "12") * 3600,
    )


def address(name: str, text: str) -> str:
    """An https address, or http on this machine; raises ValueError for anything else."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    here = parts.scheme == "http" and loopback(host)
    if not host or parts.username or not (parts.scheme == "https" or here):
        raise ValueError(f"{name} is {text!r}; give an address that begins with https://")
    return text


def origin(name: str, text: str) -> str:
    """Scheme, host and port as a browser writes them; raises ValueError where there is more."""
    parts = urlsplit(address(name, text))
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{name} is {text!r}; give scheme and host only, as https://lamp.example")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{parts.scheme}://{host}" + ("" if usual else f":{parts.port}")


def loopback(host: str) -> bool:
    """Whether that name or address never leaves this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hours(text: str) -> float:
    """How long a sign-in holds; raises ValueError."""
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", text) or not 0 < float(text) <= LONGEST:
        raise ValueError(f"{HOURS} is {text!r}; give hours, up to {LONGEST:.0f}")
    return float(text)


def people(name: str, text: str) -> tuple[str, ...]:
    """E-mail addresses and @domains of a list, in lower case; raises ValueError.

    Viewers may be `*`: everybody whom the provider lets in.
    """
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for part in found:
        everybody = part == "*" and name == "HEADLAMP_VIEWERS"
        if not everybody and not (part.isascii() and re.fullmatch(r"[^@\s*]*@[^@\s*]+", part)):
            raise ValueError(
                f"{name} has {part!r}; list e-mail addresses or @domains, with commas between"
            )
    return found


def listed(email: str, people: tuple[str, ...]) -> bool:
    """Whether the address, or its whole domain, or everybody, is in the list."""
    return bool({email, "@" + email.rpartition("@")[2], "*"} & set(people))


def visitor(claims: Mapping[str, object], known: Accounts, now: float) -> Visitor:
    """Who the provider says this is, and what our lists make of them, at a time in Unix seconds."""
    if not claims.get("is_logged_in"):
        return Visitor(NOBODY)
    email, subject = claims.get("email"), claims.get("sub")
    if not -CLOCKS <= now - seconds_of(claims.get("iat")) <= known.seconds:
        return Visitor(NOBODY, why="Your sign-in has run out. Sign in again to go on.")
    if not isinstance(email, str) or not isinstance(subject, str) or not subject:
        return Visitor(NOBODY, why="Your provider told no e-mail address, which we know people by.")
    # Only ASCII: some other letters turn into ASCII ones in lower case, and so into another person.
    email = email.lower() if email.isascii() and len(email) <= 240 else ""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        return Visitor(NOBODY, why="Your e-mail address is not one that we can compare with ours.")
    if claims.get("email_verified", True) not in (True, "true"):
        return Visitor(NOBODY, why=f"Your provider has not verified that {email} is yours.")
    roles = (("admin", known.admins), ("editor", known.editors), ("viewer", known.viewers))
    role = next((role for role, people in roles if listed(email, people)), None)
    if role is None:
        return Visitor(NOBODY, email, f"{email} is on no list here. Ask whoever runs this server.")
    return Visitor(Actor(account_of(str(claims.get("iss", "")), subject, email), role), email)


def seconds_of(issued: object) -> float:
    """When a token was made, in Unix seconds; long ago for what is no time."""
    return float(issued) if isinstance(issued, int | float) else 0.0


def account_of(issuer: str, subject: str, email: str) -> str:
    """The name that things are owned by.

    Subject and issuer are what a provider promises to keep for one person for ever; the address is
    what people read. Somebody who is given another's old address gets none of their things.
    """
    digest = hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()
    return f"{email}#{digest[:8]}"
