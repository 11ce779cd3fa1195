"""MAKERS: who makes Results of each name again. A new one is a line here."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from interp.engine.job import Work
from interp.progress import Progress
from interp.recompute import one_model, several
from interp.recompute.anew import Anew
from interp.recompute.one_model import Run
from interp.registry import PROBES
from interp.result import Result
from interp.set_runs.request import OVER_SETS
from interp.studies.registry import STUDIES
from interp.subject import Refused
from interp.system2.inside.registry import INSIDE

Maker = Callable[[Result], Run]


def never(reason: str) -> Maker:
    """For Results that do not say enough to be made again."""

    def refuse(frozen: Result) -> Run:
        raise Refused(f"{frozen.probe} cannot be computed again: {reason}")

    return refuse


A_SET = never("it names its prompts by their digest only, which no prompt can be read from.")
KEPT_ROWS = never("its rows are kept as they are made, and asking again would read them back.")

MAKERS: dict[str, Maker] = {
    **dict.fromkeys(PROBES, one_model.scores),
    **dict.fromkeys(STUDIES, one_model.a_study),
    **dict.fromkeys(INSIDE, one_model.a_look_inside),
    "ablation": one_model.ablation,
    "attention-matrix": one_model.a_matrix,
    "summary": one_model.a_summary,
    "summaries": several.several_summaries,
    "compare": several.comparison,
    "training": several.training,
    "findings": several.findings,
    "recall": several.recall,
    "recall-window": several.recall_window,
    "recall-example": several.recall_example,
    "recall-matrix": several.recall_matrix,
    "recall-models": several.recall_models,
    "recall-table": several.recall_runs,
    "variants": several.variant,
    "variants-lines": several.variant_lines,
    "variants-matrix": several.variant_matrix,
    "rope-curve": several.rope_curve,
    "rope-bound": several.rope_bound,
    "rope-distances": several.rope_distances,
    "system2": A_SET,
    "system2-across": KEPT_ROWS,
    **{f"set-{name}{end}": A_SET for name in OVER_SETS for end in ("", "-head")},
    "head-pairs": never("it is drawn of scores of other Results, which it holds but cannot name."),
}


def work_again(frozen: Result) -> Work:
    """Work for the engine whose result is the same Result, computed anew by this server.

    The Result may come from a file that anybody wrote: only models of the catalogue are run, on
    what their own pages could ask. A model that has changed is run as it is now; the new Result
    then has another digest. Raises Refused, in one sentence, where there is no way to do it.
    """
    if frozen.probe not in MAKERS:
        raise Refused(f"Nothing here makes Results of {frozen.probe[:60]!a}.")
    run = MAKERS[frozen.probe](frozen)

    def anew(engine: Any, progress: Progress) -> Result:
        return run(Anew(engine.shelf), progress)

    return Work(key_of(frozen), f"Computing {frozen.probe} again", anew)


def key_of(frozen: Result) -> str:
    """Names what is asked: the same of the same model is done once."""
    controls = any(score.controls for score in frozen.scores)
    words = [frozen.probe, frozen.model, frozen.digest, frozen.request, controls]
    return f"again {hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()}"
