"""What differs between two versions of a dashboard, in words; pure."""

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from interp.store import Markdown, Panel
from interp.store.blocks import Block, to_json

LONGEST = 70  # characters of a text that are quoted
ALIKE = 0.4  # share of a text that stays where it counts as changed and not as another one


def changes(
    old_title: str, old: Sequence[Block], title: str, blocks: Sequence[Block]
) -> list[str]:  # fmt: skip
    """A sentence for everything that was added, removed, moved, worded anew or renamed."""
    said = [] if old_title == title else [f"Title: {quoted(old_title)} is now {quoted(title)}."]
    gone, new = apart(old, blocks)
    changed, gone, new = paired(gone, new)
    said += changed
    said += [f"Removed {name(block)}." for block in gone]
    said += [f"Added {name(block)}." for block in new]
    return said + [f"Moved {name(block)}." for block in moved(old, blocks)]


def key(block: Block) -> str:
    """Equal for equal blocks."""
    return to_json([block])


def apart(old: Sequence[Block], new: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """Blocks that only one of the two has, each in its order."""
    before, after = Counter(map(key, old)), Counter(map(key, new))
    return left(old, before - after), left(new, after - before)


def left(blocks: Sequence[Block], counts: Counter[str]) -> list[Block]:
    """As many blocks of each kind as are counted, the last of equal ones."""
    found = []
    for block in reversed(blocks):
        if counts[key(block)]:
            counts[key(block)] -= 1
            found.append(block)
    return found[::-1]


def paired(
    gone: list[Block], new: list[Block]
) -> tuple[list[str], list[Block], list[Block]]:  # fmt: skip
    """Sentences about blocks that are the same thing in other words; and those that are not."""
    said, lone = [], []
    new = list(new)
    for block in gone:
        twin = next((one for one in new if same_thing(block, one)), None)
        if twin is None:
            lone.append(block)
            continue
        new.remove(twin)
        said.append(became(block, twin))
    return said, lone, new


def same_thing(old: Block, new: Block) -> bool:
    """A panel of the same numbers, or a text of which enough is left."""
    if isinstance(old, Panel) and isinstance(new, Panel):
        return old.results == new.results and old.kind == new.kind
    if isinstance(old, Markdown) and isinstance(new, Markdown):
        matcher = SequenceMatcher(None, old.text[:2000], new.text[:2000], autojunk=False)
        return matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
    return False


def became(old: Block, new: Block) -> str:
    """What the same thing was and is."""
    if isinstance(old, Panel) and isinstance(new, Panel):
        if old.title == new.title:
            return f"The live view of {name(old)} is another one."
        return f"Panel {quoted(old.title)} is now called {quoted(new.title)}."
    at = first_difference(old.text, new.text)
    return f"Text: {quoted(old.text, at)} is now {quoted(new.text, at)}."


def first_difference(old: str, new: str) -> int:
    """Where two texts part."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))


def moved(old: Sequence[Block], new: Sequence[Block]) -> list[Block]:
    """Blocks that stand in another order among those that both have."""
    before, after = shared(old, new), shared(new, old)
    matcher = SequenceMatcher(None, [*map(key, before)], [*map(key, after)], autojunk=False)
    stay = {b for _, at, size in matcher.get_matching_blocks() for b in range(at, at + size)}
    return [block for at, block in enumerate(after) if at not in stay]


def shared(blocks: Sequence[Block], others: Sequence[Block]) -> list[Block]:
    """Those that the others have too."""
    counts = Counter(map(key, others))
    found = []
    for block in blocks:
        if counts[key(block)]:
            counts[key(block)] -= 1
            found.append(block)
    return found


def name(block: Block) -> str:
    """A block in a sentence."""
    if isinstance(block, Panel):
        return f"the panel {quoted(block.title or block.kind)}"
    return f"the text {quoted(block.text)}"


def quoted(text: str, at: int = 0) -> str:
    """A text in quotes, around place `at` where it is long."""
    text, at = text[:at] + text[at:].rstrip(), max(0, at - LONGEST // 3)
    part = text[at : at + LONGEST].replace("\n", " ").strip()
    return f"“{'…' * (at > 0)}{part}{'…' * (at + LONGEST < len(text))}”"
