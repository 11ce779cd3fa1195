"""One rank of a real ring: `torchrun ... -m tests.interp.stats.ranks_process FOLDER`."""

import datetime
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from jaxtyping import install_import_hook

with install_import_hook(["interp", "models"], "beartype.beartype"):
    from interp.stats.naive import naive
    from interp.stats.ranks import keys as ring_keys
    from interp.stats.ranks.ring import Ring, shard
    from interp.stats.ranks.ring_stats import ring_stats, whole_of
    from interp.stats.wanted import Wanted
    from models.forms import Dots
    from tests.interp.stats.ranks_cases import CASES, Case, held, whole


def one_case(case: Case, ring: Ring) -> dict[str, object]:
    """This rank's statistics, those of all ranks in order, and the bytes that it sent."""
    ring_keys.ROWS, ring_keys.KEYS = case.tile
    dots, wanted, norms = whole(case, ring.world)
    at = shard(dots.q.shape[2], ring.world, ring.rank, case.layout)
    mine, asked, norms = held(dots, wanted, norms, at)
    sent = ring.sent
    found = ring_stats(mine, asked, norms, ring)
    return {
        "at": at,
        "stats": found,
        "sent": ring.sent - sent,
        "whole": whole_of(found, mine, ring),
    }


def some_ranks() -> object:
    """A ring of the last two ranks, whose ranks in the group are not those in the world."""
    members = list(range(dist.get_world_size()))[-2:]
    group = dist.new_group(members)
    if dist.get_rank() not in members:
        return said(lambda: Ring(group))
    return one_case(CASES["everything"], Ring(group))


def own_heads() -> dict[str, object]:
    """Statistics of this rank's heads behind projections that are split over ranks."""
    # Seconds of imports that only this needs.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.debug import CommDebugMode
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    torch.manual_seed(3)
    world, heads, groups, width = dist.get_world_size(), 8, 4, 6
    layer = torch.nn.ModuleDict(
        {"q": torch.nn.Linear(20, heads * width), "k": torch.nn.Linear(20, groups * width)}
    )
    x, wanted = torch.randn(2, 33, 20), Wanted(entropy=True, square=True, received=True)

    def stats() -> object:
        q, k = (layer[name](x).unflatten(-1, (-1, width)).transpose(1, 2) for name in "qk")
        return naive(Dots(q=q.detach(), k=k.detach(), scale=width**-0.5), wanted)

    whole_layer = stats()
    mesh = init_device_mesh("cpu", (world,))
    parallelize_module(layer, mesh, {"q": ColwiseParallel(), "k": ColwiseParallel()})
    with CommDebugMode() as talk:
        mine = stats()
    return {"mine": mine, "whole": whole_layer, "messages": talk.get_total_counts()}


def said(run: Callable[[], object]) -> str:
    """The sentence with which something is refused; empty if it is not."""
    try:
        run()
    except ValueError as problem:
        return str(problem)
    return ""


def refusals(ring: Ring) -> dict[str, str]:
    """What each rank hears when the last one alone gets something wrong."""
    dots, wanted, norms = whole(CASES["everything"], ring.world)
    last = ring.rank == ring.world - 1
    mine, asked, norms = held(dots, wanted, norms, shard(67, ring.world, ring.rank))
    wrong = {
        "no positions": (replace(mine, query_at=None), asked, norms),
        "no rows": (replace(mine, q=mine.q[:, :, :0], query_at=mine.rows[:0]), asked, norms),
        "no norms": (mine, asked, None),
        "targets": (mine, replace(asked, targets=asked.targets[:, 1:]), norms),
        "another question": (mine, replace(asked, block=5), norms),
        "another form": (replace(mine, window=4), asked, norms),
        "positions of its own": (replace(mine, key_at=torch.arange(len(mine.keys))), asked, norms),
    }
    return {
        name: said(lambda given=given: ring_stats(*(given if last else (mine, asked, norms)), ring))
        for name, given in wrong.items()
    }


def main(folder: str) -> None:
    """Everything this rank finds, in one file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    ring = Ring()
    found = {name: one_case(case, ring) for name, case in CASES.items()}
    more = {"some": some_ranks(), "refusals": refusals(ring)}
    if ring.world == 2:
        more["heads"] = own_heads()
    torch.save({"cases": found, **more}, Path(folder, f"{ring.rank}.pt"))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
