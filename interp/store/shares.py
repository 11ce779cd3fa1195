"""Share links: a token opens one snapshot until it expires or is withdrawn, and can do no more."""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from interp.store import names, snapshots
from interp.store import verify as verify_
from interp.store.access import Actor, Thing, authorize, missing
from interp.store.artifacts import Artifacts
from interp.store.blocks import named
from interp.store.clock import Clock, moment, moment_or_none
from interp.store.dashboards import Dashboards
from interp.store.database import Database
from interp.store.errors import Missing, ShareRefused, StoreError
from interp.store.kinds import result_of
from interp.store.rows import Row, change, find, find_all, insert
from interp.store.snapshots import Snapshot
from interp.store.tables import DASHBOARDS, SHARES
from interp.store.verify import Recompute
from interp.store.versions import Version

HOUR = 3_600_000  # ms
LIFETIMES = {"1 h": HOUR, "1 d": 24 * HOUR, "7 d": 7 * 24 * HOUR, "never": None}
PREFIX = 8  # hex characters of the hash that the index sees; the rest is compared in constant time


@dataclass(frozen=True)
class Share:
    """A link without its token, which nobody has but those it was given to."""

    id: str
    dashboard_id: str
    number: int
    owner: str
    verdict: str  # verified, differs, not checked
    created_at: datetime
    expires_at: datetime | None  # None: never
    closed_at: datetime | None  # withdrawn, or found expired


@dataclass(frozen=True)
class NewShare:
    """What `share` hands out: the token is told once and kept nowhere."""

    token: str = field(repr=False)  # never in a log
    share: Share
    verdict: verify_.Verdict


@dataclass(frozen=True)
class Admission:
    """What a token opens, before it is read; nobody else is told the name."""

    snapshot: str  # SHA-256 of its text
    expires_at: datetime | None  # None: never


@dataclass(frozen=True)
class Shares:
    """All links of a store."""

    database: Database
    artifacts: Artifacts
    dashboards: Dashboards
    clock: Clock

    def share(
        self,
        actor: Actor,
        dashboard_id: str,
        number: int,
        lifetime: str,
        recompute: Recompute | None = None,
    ) -> NewShare:
        """A link to that version as it is now; it opens when the model and the dashboard change.

        `recompute` may take as long as the Results took; no lock is held meanwhile. Raises Damaged
        when one of the Results is.
        """
        if lifetime not in LIFETIMES:
            raise StoreError(f"{lifetime[:40]!r} is no lifetime; there are {', '.join(LIFETIMES)}.")
        with self.database.reading() as conn:
            self.dashboards.found(conn, actor, dashboard_id, "share", lock=False)
        version = self.dashboards.open(actor, dashboard_id, number)
        text, verdict = self.frozen(version, recompute)
        snapshot = self.artifacts.keep(text.encode("utf-8"), "snapshot")
        token = secrets.token_urlsafe(32)
        with self.database.writing() as conn:
            self.dashboards.found(conn, actor, dashboard_id, "share")
            row = self.add(conn, actor, version, token, lifetime, snapshot, verdict.state)
        return NewShare(token, share_of(row), verdict)

    def frozen(self, version: Version, recompute: Recompute | None) -> tuple[str, verify_.Verdict]:
        """The text of the snapshot, and whether its numbers stand."""
        results, verdicts = {}, {}
        for name in named(version.blocks):
            saved = result_of(self.artifacts.read(name))
            verdicts[name], results[name] = verify_.verify(saved, recompute)
        verdict = verify_.summed([*verdicts.values()])
        made = moment(self.clock.now())
        return snapshots.to_json(version, results, verdicts, verdict, made), verdict

    def add(
        self,
        conn: Connection,
        actor: Actor,
        version: Version,
        token: str,
        lifetime: str,
        snapshot: str,
        state: str,
    ) -> Row:
        """The row of a new link."""
        now, long, digest = self.clock.now(), LIFETIMES[lifetime], digest_of(token)
        return insert(
            conn, SHARES, id=uuid.uuid4().hex, prefix=digest[:PREFIX], token_sha256=digest,
            dashboard_id=version.dashboard_id, number=version.number, verdict=state,
            owner=names.account(actor.account), snapshot=snapshot, created=now,
            expires=None if long is None else now + long, closed=None,
        )  # fmt: skip

    def check(self, token: str) -> Admission:
        """Which snapshot the token opens now; ShareRefused in the same words whatever is wrong.

        Ask again at every action: a link may be withdrawn while its page is open.
        """
        with self.database.reading() as conn:
            row = by_token(conn, token)
            dashboard = row and find(conn, DASHBOARDS, id=row["dashboard_id"])
        if row is None or row["closed"] is not None or dashboard["deleted"] is not None:
            raise ShareRefused
        if expired(row, self.clock.now()):
            self.close_expired()
            raise ShareRefused
        holder = Actor(account="", role="link", share=row["id"])
        authorize(holder, "read", Thing("snapshot", id=row["id"]))
        return Admission(row["snapshot"], moment_or_none(row["expires"]))

    def open(self, token: str) -> Snapshot:
        """What the link shows; ShareRefused in the same words whatever is wrong with it."""
        admitted = self.check(token)
        text = self.artifacts.read(admitted.snapshot).decode("utf-8")
        return snapshots.from_json(text, admitted.expires_at)

    def close_expired(self) -> None:
        """Close links for good whose time is over: a clock set back opens none of them again."""
        if self.database.read_only:
            return
        over = SHARES.c.expires <= self.clock.now()
        with self.database.writing() as conn:
            asked = select(SHARES).where(over, SHARES.c.closed.is_(None)).with_for_update()
            for row in [*find_all(conn, SHARES, asked)]:
                change(conn, SHARES, row, closed=row["expires"])

    def mine(self, actor: Actor) -> tuple[Share, ...]:
        """Links the actor made, the newest first."""
        authorize(actor, "read", Thing("share", owner=actor.account))
        return self.listed(SHARES.c.owner == actor.account)

    def of(self, actor: Actor, dashboard_id: str) -> tuple[Share, ...]:
        """Every link of a dashboard, for those who may share it."""
        with self.database.reading() as conn:
            self.dashboards.found(conn, actor, dashboard_id, "share", lock=False)
        return self.listed(SHARES.c.dashboard_id == dashboard_id)

    def listed(self, which: object) -> tuple[Share, ...]:
        """Links that fit, the newest first."""
        asked = select(SHARES).where(which).order_by(SHARES.c.created.desc())
        with self.database.reading() as conn:
            return tuple(map(share_of, find_all(conn, SHARES, asked)))

    def revoke(self, actor: Actor, share_id: str) -> Share:
        """Withdraw a link for good: whoever made it, owns its dashboard, or is admin."""
        with self.database.writing() as conn:
            row = find(conn, SHARES, lock=True, id=share_id) if names.is_id(share_id) else None
            if row is None:
                raise Missing(missing("share"))
            dashboard = find(conn, DASHBOARDS, id=row["dashboard_id"])
            owned = actor.account != "" and actor.account == dashboard["owner"]
            owner = actor.account if owned else row["owner"]
            authorize(actor, "delete", Thing("share", owner, row["id"]))
            if row["closed"] is None:
                row = change(conn, SHARES, row, closed=self.clock.now())
        return share_of(row)


def digest_of(token: str) -> str:
    """SHA-256 in hex: of any text, be it no token at all."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def by_token(conn: Connection, token: str) -> Row | None:
    """The link of that token; its hash is compared in constant time."""
    digest = digest_of(token[:200])
    found = None
    candidates: Sequence[Row] = [
        *find_all(conn, SHARES, select(SHARES).filter_by(prefix=digest[:PREFIX]))
    ]
    for row in candidates:
        if hmac.compare_digest(row["token_sha256"], digest):
            found = row
    return found


def expired(row: Row, now: int) -> bool:
    """Whether its time is over."""
    return row["expires"] is not None and row["expires"] <= now


def share_of(row: Row) -> Share:
    """A row for readers."""
    shown = ("id", "dashboard_id", "number", "owner", "verdict")
    return Share(
        **{key: row[key] for key in shown},
        created_at=moment(row["created"]),
        expires_at=moment_or_none(row["expires"]),
        closed_at=moment_or_none(row["closed"]),
    )
