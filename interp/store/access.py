"""Who may do what: one gate, and the table it reads."""

from dataclasses import dataclass
from typing import Literal

from interp.store.errors import Denied, Missing

Role = Literal["local", "viewer", "editor", "admin", "link", "nobody"]


@dataclass(frozen=True)
class Actor:
    """Who asks. `share` is the id of the share that a link holder came by."""

    account: str
    role: Role
    share: str = ""


LOCAL = Actor(account="local", role="local")  # one person on their own machine
NOBODY = Actor(account="", role="nobody")  # came without signing in


@dataclass(frozen=True)
class Thing:
    """What is asked about: a kind of the table, and whose it is."""

    kind: str
    owner: str = ""
    id: str = ""


# Actors of the table, one letter each:
#   L  local     the one person of a machine without sign-in
#   A  admin     runs the place; owns nothing of this
#   O  owner     made it, and is editor or admin
#   o  owner who is only viewer now
#   E  editor    somebody else's
#   V  viewer    somebody else's
#   K  link      came by a share link, to the very snapshot of that link
#   N  nobody    not signed in, or by a link to another snapshot
ACTIONS = ("create", "read", "edit", "share", "publish", "delete", "restore")
TABLE = {
    # kind               create    read         edit    share   publish  delete  restore
    "dashboard":        ("LAOE",   "",          "",     "",     "",      "",     ""),
    "private dashboard": ("",      "LAOo",      "LO",   "LO",   "LO",    "LAOo", ""),
    "team dashboard":   ("",       "LAOoEV",    "LAOE", "LAOE", "LAO",   "LAOo", ""),
    "link dashboard":   ("",       "LAOoEVKN",  "LAOE", "LAOE", "LAO",   "LAOo", ""),
    "deleted dashboard": ("",      "LAOo",      "",     "",     "",      "",     "LAO"),
    "set":              ("LAOE",   "",          "",     "",     "",      "",     ""),
    "private set":      ("",       "LAOo",      "LO",   "",     "LO",    "LAOo", ""),
    "team set":         ("",       "LAOoEV",    "LAOE", "",     "LAO",   "LAOo", ""),
    "deleted set":      ("",       "LAOo",      "",     "",     "",      "",     "LAO"),
    "artifact":         ("LAOE",   "",          "",     "",     "",      "",     ""),
    "model":            ("LAOE",   "",          "",     "",     "",      "",     ""),
    "share":            ("",       "LAOo",      "",     "",     "",      "LAOo", ""),
    "snapshot":         ("",       "K",         "",     "",     "",      "",     ""),
    "run":              ("LAOEV",  "",          "",     "",     "",      "",     ""),
}  # fmt: skip

NOUNS = {"set": "prompt set", "artifact": "result"}  # readers know the table's words as these
SENTENCES = {
    "create": "make a {noun}",
    "edit": "change this {noun}",
    "share": "share this {noun}",
    "publish": "change who sees this {noun}",
    "delete": "delete this {noun}",
    "restore": "bring this {noun} back",
}


def letter(actor: Actor, thing: Thing) -> str:
    """The actor's letter in the table, beside this thing."""
    if actor.role == "local":
        return "L"
    if actor.role == "link":
        return "K" if thing.kind == "snapshot" and actor.share == thing.id != "" else "N"
    if actor.role == "nobody" or not actor.account:
        return "N"
    if actor.account == thing.owner:
        return "o" if actor.role == "viewer" else "O"
    return {"admin": "A", "editor": "E", "viewer": "V"}[actor.role]


def may(actor: Actor, action: str, thing: Thing) -> bool:
    """Whether the table allows it; KeyError or ValueError for a kind or action it doesn't have."""
    return letter(actor, thing) in TABLE[thing.kind][ACTIONS.index(action)]


def authorize(actor: Actor, action: str, thing: Thing) -> None:
    """Return when the actor may; raises Missing where they may not even read, else Denied."""
    if may(actor, action, thing):
        return
    word = thing.kind.rsplit(" ", 1)[-1]
    noun = NOUNS.get(word, word)
    if action != "create" and not may(actor, "read", thing):
        raise Missing(missing(noun))
    raise Denied(f"As {article(actor.role)} you may not {SENTENCES[action].format(noun=noun)}.")


def missing(noun: str) -> str:
    """The one sentence for what isn't there and for what isn't the actor's to see."""
    return f"There is no such {noun} here, or it is not shared with you."


def article(role: str) -> str:
    """The role with its article, in words."""
    words = {"nobody": "somebody who is not signed in", "link": "the holder of a link"}
    return words.get(role) or f"{'an' if role[0] in 'ae' else 'a'} {role}"
