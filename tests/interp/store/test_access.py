"""Every cell of actor x action x object, beside a table written by hand, and through real calls."""

import inspect
import itertools

import pytest

from interp.store import LOCAL, NOBODY, Actor, Denied, Markdown, Missing, Store, StoreError, access
from interp.store.access import ACTIONS, TABLE, Thing, authorize, may
from tests.interp.store.conftest import ADA, ANN, BOB, VIC

EX_ANN = Actor(ANN.account, "viewer")  # owns things, and is no editor any more
HOLDER = Actor("", "link", share="5" * 32)
OTHER_HOLDER = Actor("", "link", share="6" * 32)
WHO = (LOCAL, ADA, ANN, EX_ANN, BOB, VIC, HOLDER, OTHER_HOLDER, NOBODY)

# Columns: local, admin, owner, owner now viewer, editor, viewer, holder of this link, holder of
# another, nobody. Objects are Ann's. What isn't here is refused to everybody.
BY_HAND = """
create  dashboard          y y y - y - - - -
create  set                y y y - y - - - -
create  artifact           y y y - y - - - -
create  model              y y y - y - - - -
create  run                y y y - y y - - -
read    private dashboard  y y y y - - - - -
edit    private dashboard  y - y - - - - - -
share   private dashboard  y - y - - - - - -
publish private dashboard  y - y - - - - - -
delete  private dashboard  y y y y - - - - -
read    team dashboard     y y y y y y - - -
edit    team dashboard     y y y - y - - - -
share   team dashboard     y y y - y - - - -
publish team dashboard     y y y - - - - - -
delete  team dashboard     y y y y - - - - -
read    link dashboard     y y y y y y y y y
edit    link dashboard     y y y - y - - - -
share   link dashboard     y y y - y - - - -
publish link dashboard     y y y - - - - - -
delete  link dashboard     y y y y - - - - -
read    deleted dashboard  y y y y - - - - -
restore deleted dashboard  y y y - - - - - -
read    private set        y y y y - - - - -
edit    private set        y - y - - - - - -
publish private set        y - y - - - - - -
delete  private set        y y y y - - - - -
read    team set           y y y y y y - - -
edit    team set           y y y - y - - - -
publish team set           y y y - - - - - -
delete  team set           y y y y - - - - -
read    deleted set        y y y y - - - - -
restore deleted set        y y y - - - - - -
read    share              y y y y - - - - -
delete  share              y y y y - - - - -
read    snapshot           - - - - - - y - -
"""


def by_hand() -> dict[tuple[str, str], list[bool]]:
    """(action, kind) -> allowed, by actor of WHO."""
    table = {}
    for line in BY_HAND.strip().splitlines():
        words = line.split()
        cells, kind = words[-len(WHO) :], " ".join(words[1 : -len(WHO)])
        table[words[0], kind] = [cell == "y" for cell in cells]
    return table


EXPECTED = by_hand()


def test_every_cell_is_as_written_by_hand():
    cells = 0
    for kind, action in itertools.product(TABLE, ACTIONS):
        owner = "" if action == "create" else ANN.account
        thing = Thing(kind, owner, HOLDER.share if kind == "snapshot" else "1" * 32)
        wanted = EXPECTED.get((action, kind), [False] * len(WHO))
        found = [may(actor, action, thing) for actor in WHO]
        if action == "create":  # nobody owns what isn't there: the owner's column is an editor's
            wanted = [*wanted[:3], wanted[5], *wanted[4:]]
        assert found == wanted, (action, kind)
        cells += len(found)
    assert set(EXPECTED) <= set(itertools.product(ACTIONS, TABLE))
    assert cells == len(WHO) * len(ACTIONS) * len(TABLE) == 9 * 7 * 14


def test_a_kind_or_action_that_is_not_in_the_table_is_an_error_not_a_yes():
    with pytest.raises(KeyError):
        may(LOCAL, "read", Thing("public dashboard"))
    with pytest.raises(ValueError):
        may(LOCAL, "fly", Thing("team dashboard"))


def test_nobody_owns_what_has_no_owner():
    for actor in (NOBODY, Actor("", "editor"), Actor("", "viewer"), HOLDER):
        assert not may(actor, "read", Thing("private dashboard", ""))
    assert not may(Actor("", "link"), "read", Thing("snapshot"))


def test_refusals_do_not_tell_what_is_there():
    with pytest.raises(Missing) as hidden:
        authorize(BOB, "delete", Thing("private dashboard", ANN.account))
    with pytest.raises(Denied, match="As a viewer you may not change this dashboard"):
        authorize(VIC, "edit", Thing("team dashboard", ANN.account))
    with pytest.raises(Denied, match="As somebody who is not signed in you may not make a dash"):
        authorize(NOBODY, "create", Thing("dashboard"))
    with pytest.raises(Denied, match="As an editor you may not delete this prompt set"):
        authorize(BOB, "delete", Thing("team set", ANN.account))
    assert str(hidden.value) == access.missing("dashboard")


CALLS = {
    ("create", "dashboard"): lambda s, a, d: s.dashboards.save(a, None, None, "T", ()),
    ("read", "dashboard"): lambda s, a, d: s.dashboards.open(a, d),
    ("edit", "dashboard"): lambda s, a, d: s.dashboards.save(a, d, 1, "T", (Markdown("2"),)),
    ("share", "dashboard"): lambda s, a, d: s.shares.share(a, d, 1, "1 h"),
    ("publish", "dashboard"): lambda s, a, d: s.dashboards.publish(a, d, "private"),
    ("delete", "dashboard"): lambda s, a, d: s.dashboards.delete(a, d),
    ("restore", "dashboard"): lambda s, a, d: s.dashboards.restore(a, d),
    ("create", "set"): lambda s, a, d: s.sets.save(a, "S", b"x", {}),
    ("read", "set"): lambda s, a, d: s.sets.read(a, d),
    ("edit", "set"): lambda s, a, d: s.sets.save(a, None, b"y", {}, d),
    ("publish", "set"): lambda s, a, d: s.sets.publish(a, d, "private"),
    ("delete", "set"): lambda s, a, d: s.sets.delete(a, d),
    ("restore", "set"): lambda s, a, d: s.sets.restore(a, d),
}
SAME_RIGHT = {
    ("read", "dashboard"): [
        lambda s, a, d: s.dashboards.get(a, d),
        lambda s, a, d: s.dashboards.history(a, d),
    ],
    ("edit", "dashboard"): [lambda s, a, d: s.dashboards.keep(a, d)],
    ("share", "dashboard"): [lambda s, a, d: s.shares.of(a, d)],
    ("read", "set"): [
        lambda s, a, d: s.sets.get(a, d),
        lambda s, a, d: s.sets.version(a, d),
        lambda s, a, d: s.sets.versions(a, d),
    ],
    ("edit", "set"): [lambda s, a, d: s.sets.rename(a, d, "other")],
}


def thing_of(store: Store, noun: str, state: str) -> str:
    """A dashboard or set of Ann's in that state; its id."""
    part = {"dashboard": store.dashboards, "set": store.sets}[noun]
    if noun == "dashboard":
        made = store.dashboards.save(ANN, None, None, "T", (Markdown("1"),)).dashboard_id
    else:
        made = store.sets.save(ANN, "S", b"rows", {}).set_id
    if state == "deleted":
        part.delete(ANN, made)
    else:
        part.publish(ANN, made, state)
    return made


def allowed(store: Store, call: object, actor: Actor, identity: str) -> bool:
    """Whether the call went through; any other refusal than the gate's fails the test."""
    try:
        call(store, actor, identity)
    except (Missing, Denied):
        return False
    return True


STATES = [("dashboard", s) for s in ("private", "team", "link", "deleted")]
STATES += [("set", s) for s in ("private", "team", "deleted")]


@pytest.mark.parametrize(("noun", "state"), STATES)
def test_every_call_of_every_actor_as_written_by_hand(store, noun, state):
    """Each on a new thing, so that no call's effect hides another's."""
    for action in ACTIONS[1:]:
        more = SAME_RIGHT if store.database.is_sqlite else {}  # once is enough for these
        calls = [CALLS.get((action, noun)), *more.get((action, noun), [])]
        wanted = EXPECTED.get((action, f"{state} {noun}"), [False] * len(WHO))
        if action == "delete" and state == "deleted":  # deleting again does no harm to what is gone
            wanted = EXPECTED["read", f"deleted {noun}"]
        for call in filter(None, calls):
            changes = action != "read"
            same = None if changes else thing_of(store, noun, state)
            for actor, yes in zip(WHO, wanted, strict=True):
                if not changes or not yes:  # a refused call changes nothing
                    same = same or thing_of(store, noun, state)
                    assert allowed(store, call, actor, same) is yes, (action, actor)
                else:
                    fresh = thing_of(store, noun, state)
                    assert allowed(store, call, actor, fresh), (action, actor)


@pytest.mark.parametrize("noun", ["dashboard", "set"])
def test_who_may_make_things(store, noun):
    for actor, yes in zip(WHO, EXPECTED["create", noun], strict=True):
        assert allowed(store, CALLS["create", noun], actor, "") is yes


def test_who_may_hand_in_results(store, result):
    data = result().to_json().encode()
    for actor, yes in zip(WHO, EXPECTED["create", "artifact"], strict=True):
        assert allowed(store, lambda s, a, d: s.artifacts.put(a, data), actor, "") is yes


def test_every_public_call_takes_an_actor_first(store):
    """But for opening a link, and for what only the store itself calls."""
    own = {
        "dashboards": {"begin", "add", "next", "found", "readable", "alter"},
        "sets": {"begin", "add", "found", "alter"},
        "shares": {"open", "check", "add", "frozen", "close_expired", "listed"},
    }
    for name, inner in own.items():
        for call, function in inspect.getmembers(getattr(store, name), inspect.ismethod):
            if call.startswith("_") or call in inner:
                continue
            assert next(iter(inspect.signature(function).parameters)) == "actor", (name, call)


def test_a_read_only_holder_can_do_nothing_but_look(store):
    saved = store.dashboards.save(ANN, None, None, "T", (Markdown("1"),))
    link = store.shares.share(ANN, saved.dashboard_id, 1, "1 h")
    holder = Actor("", "link", share=link.share.id)
    tries = [call for call in CALLS.values()]
    tries += [call for calls in SAME_RIGHT.values() for call in calls]
    tries += [lambda s, a, d: s.shares.revoke(a, link.share.id)]
    tries += [lambda s, a, d: s.artifacts.put(a, b"{}"), lambda s, a, d: s.shares.mine(a)]
    for call in tries:
        with pytest.raises((Missing, Denied)):
            call(store, holder, saved.dashboard_id)
    assert store.dashboards.list(holder) == () == store.sets.list(holder)
    assert store.shares.open(link.token).title == "T"


def test_an_account_without_a_name_makes_nothing(store):
    with pytest.raises(StoreError):
        store.dashboards.save(Actor("", "editor"), None, None, "T", ())
