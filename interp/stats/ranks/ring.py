"""Ring: ranks that hold a sequence in shards and hand shards on, with public send and receive."""

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from jaxtyping import Int
from torch import Tensor

from models.ways import LAYOUTS


def shard(length: int, world: int, rank: int, layout: str = "zigzag") -> Int[Tensor, " n"]:
    """Positions, rising, of the tokens that a rank holds; shards may differ by a few tokens.

    "zigzag" cuts 2·world runs and gives rank r the r-th from the front and the r-th from the back,
    so that causal work is even (the head-tail split of ring attention, Liu et al. 2023, arXiv
    2310.01889). ValueError for an unknown layout, rank or more ranks than tokens.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    if not 1 <= world <= length:
        raise ValueError(f"{length} tokens can be held by 1 to {length} ranks, got {world}")
    if not 0 <= rank < world:
        raise ValueError(f"ranks count from 0 to {world - 1}, got {rank}")
    return LAYOUTS[layout](length, world)[rank]


def balance(length: int, world: int, layout: str = "zigzag") -> float:
    """Share of the time that ranks work if each step of a ring waits for its busiest; at most 1.

    Work is counted in causal query-key pairs, from positions alone.
    """
    held = [shard(length, world, rank, layout) for rank in range(world)]
    pairs = torch.tensor(
        [
            [
                int(torch.searchsorted(held[(r - s) % world], held[r], right=True).sum())
                for r in range(world)
            ]
            for s in range(world)
        ]
    )
    return float(pairs.sum() / (world * pairs.amax(1).sum()))


class Ring:
    """The ranks of a group in a circle; a process without torch.distributed is a ring of one.

    Any backend that sends and receives will do (gloo, nccl).
    """

    def __init__(self, group: dist.ProcessGroup | int | None = None) -> None:
        on = dist.is_available() and dist.is_initialized()
        if isinstance(group, int):  # what new_group gives to a rank outside of it
            raise ValueError(
                f"rank {dist.get_rank()} is not in the group; only its ranks make a ring of it"
            )
        self.group = group
        self.members = dist.get_process_group_ranks(group) if on else [0]
        me = dist.get_rank() if on else 0
        self.rank, self.world = self.members.index(me), len(self.members)
        self.sent = 0  # bytes handed to the next rank so far

    def pass_on(self, give: Sequence[Tensor], take: Sequence[Tensor]) -> list[dist.Work]:
        """Begin to hand tensors to the next rank and to take those of the one before.

        Keep both as they are until every Work has been waited for.
        """
        after = self.members[(self.rank + 1) % self.world]
        before = self.members[self.rank - 1]
        self.sent += sum(x.nbytes for x in give)
        return dist.batch_isend_irecv(
            [dist.P2POp(dist.isend, x, after, self.group) for x in give]
            + [dist.P2POp(dist.irecv, x, before, self.group) for x in take]
        )

    def visits(
        self, mine: Sequence[Tensor], axes: Sequence[int], sizes: Sequence[int]
    ) -> Iterator[tuple[int, list[Tensor]]]:
        """Every rank's tensors, this one's first, with the rank that owns them.

        `axes` says along which axis of each the keys lie, `sizes` how many keys each rank has. The
        next shard travels while the caller works on the one at hand.
        """
        held = [x.contiguous() for x in mine]
        for step in range(self.world):
            owner = (self.rank - step) % self.world
            if step + 1 == self.world:
                yield owner, held
                return
            coming = [resized(x, a, sizes[owner - 1]) for x, a in zip(held, axes, strict=True)]
            works = self.pass_on(held, coming)
            yield owner, held
            for work in works:
                work.wait()
            held = coming

    def onward(self, x: Tensor, axis: int, size: int) -> Tensor:
        """Hand x to the next rank; what the rank before has handed over, of another size."""
        if self.world == 1:
            return x
        coming, x = resized(x, axis, size), x.contiguous()
        for work in self.pass_on([x], [coming]):
            work.wait()
        return coming

    def gather(self, said: object) -> list:
        """A small thing that every rank says, in the order of ranks."""
        heard = [said] * self.world
        if self.world > 1:
            dist.all_gather_object(heard, said, group=self.group)
        return heard

    def reduced(self, x: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        """The sum, or another reduction, over ranks; each rank has it."""
        if self.world > 1:
            dist.all_reduce(x, op, group=self.group)
        return x

    def in_order(self, x: Tensor, at: Int[Tensor, " n"], axis: int) -> Tensor:
        """The whole of what ranks hold in shards, each part at its positions; each rank has it."""
        sizes = self.gather(len(at))
        if self.world == 1:
            parts, where = [x], [at]
        else:
            parts = self.all_parts(x.movedim(axis, 0), sizes)
            parts = [p.movedim(0, axis) for p in parts]
            where = self.all_parts(at, sizes)
        return torch.cat(parts, axis).index_select(axis, torch.cat(where).argsort())

    def all_parts(self, x: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Every rank's x, whose first axis may differ; padded to the longest meanwhile."""
        padded = x.new_zeros(max(sizes), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded, group=self.group)
        return [part[:size] for part, size in zip(parts, sizes, strict=True)]


def resized(x: Tensor, axis: int, size: int) -> Tensor:
    """Room for a tensor like x with another number of keys."""
    return x.new_empty(*x.shape[:axis], size, *x.shape[axis + 1 :])
