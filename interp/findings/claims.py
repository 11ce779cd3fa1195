"""CLAIMS: what others found, each as comparisons that our models can bear out or contradict."""

from dataclasses import dataclass

GU = "Gu et al. 2025, arXiv 2410.10781"
OLSSON = "Olsson et al. 2022, In-context Learning and Induction Heads"
QIN = "Qin et al. 2022, arXiv 2210.10340; Su Jianlin 2023, kexue.fm/archives/9889"
ZOOLOGY = "Arora et al. 2023, arXiv 2312.04927"
BASED = "Arora et al. 2024, arXiv 2402.18668"
SCHLAG = "Schlag et al. 2021, arXiv 2102.11174; Yang et al. 2024, arXiv 2406.06484"

PAGES = ("compare", "training", "retrieval")
TWIN = "twin"  # a member's own random-init twin
OVER, NEAR, NOT_OVER = "over", "as good as", "no more than"
RECALL, RECALL_16 = "recall", "recall_16"
RECALLS = {RECALL: (32, 8), RECALL_16: (32, 16)}  # accuracy at a width, with so many pairs


@dataclass(frozen=True)
class Comparison:
    """One member's number beside another's, in the relation that was published."""

    metric: str  # a number of the summary, or one of RECALLS
    one: str  # a member of the zoo
    other: str  # another, or TWIN
    relation: str = OVER  # of RELATIONS


@dataclass(frozen=True)
class Claim:
    """A published finding: sign and order are held against ours, not decimals."""

    key: str
    says: str
    published: str  # their numbers, for beside ours
    source: str
    comparisons: tuple[Comparison, ...]
    about: str  # where ours was measured otherwise
    pages: tuple[str, ...]  # which of PAGES show it


OTHER_SIZE = "Theirs has 60M parameters and 5B tokens, ours 123,200 and 12M."

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "sinks-need-softmax",
        "Sinks appear with normalised softmax, not with unnormalised sigmoid or linear attention.",
        "Sink_1 at eps 0.3: softmax 18.18 %, sigmoid 0.44 %, identity kernel 0.00 %",
        GU,
        (
            Comparison("sink", "mha", TWIN),
            Comparison("sink", "mha", "sigmoid"),
            Comparison("sink", "mha", "unnormalised"),
            Comparison("sink", "sigmoid", TWIN, NOT_OVER),
            Comparison("sink", "unnormalised", TWIN, NOT_OVER),
            Comparison("sink_rate", "mha", TWIN),
        ),
        OTHER_SIZE,
        ("compare",),
    ),
    Claim(
        "sinks-are-absorbed",
        "A K bias or a sink logit takes the sink's part: token 0 gets less.",
        "Sink_1 at eps 0.3: softmax 18.18 %; with a K bias 0.00 % on token 0, 73.34 % on the bias",
        GU,
        (
            Comparison("sink", "mha", "k_bias"),
            Comparison("sink", "mha", "sink_logit"),
            Comparison("slot", "k_bias", TWIN),
            Comparison("slot", "sink_logit", TWIN),
        ),
        OTHER_SIZE,
        ("compare",),
    ),
    Claim(
        "one-layer-no-induction",
        "One layer has no induction heads, two have; with smeared keys one is enough.",
        "one layer: none forms; two layers, or one with smeared keys: a phase change",
        OLSSON,
        (
            Comparison("induction", "mha", "mha_one_layer"),
            Comparison("loss_second", "mha_one_layer", "mha"),
            Comparison("induction", "smeared_key_one_layer", "mha_one_layer"),
            Comparison("loss_second", "mha_one_layer", "smeared_key_one_layer"),
        ),
        "Theirs are attention-only and larger.",
        ("compare", "training"),
    ),
    Claim(
        "linear-spreads",
        "Linear attention spreads over many keys and finds less again.",
        "weight within 40 % of the row: softmax some 80 %, linear some 40 %; S of linear attention "
        "at least 0.798 for Gaussian keys",
        QIN,
        (
            Comparison("S", "linear", "mha"),
            Comparison("loss_second", "linear", "mha"),
            Comparison(RECALL, "softmax", "linear"),
            Comparison(RECALL_16, "softmax", "linear"),
        ),
        "",
        ("compare", "retrieval"),
    ),
    Claim(
        "window-ends",
        "A window retrieves nothing beyond itself.",
        "recall at a window's state of 9.7k: 0.08; full attention: 1.0",
        ZOOLOGY,
        (
            Comparison(RECALL, "softmax", "window"),
            Comparison(RECALL, "linear", "window"),
            Comparison(RECALL_16, "softmax", "window"),
        ),
        "Ours looks 8 tokens back of 64.",
        ("retrieval",),
    ),
    Claim(
        "delta-recalls",
        "The delta rule repairs the recall of linear attention.",
        "recall at a state of 9k: DeltaNet 0.79; GLA, at 5k, 0.53",
        SCHLAG,
        (
            Comparison(RECALL, "delta", "linear"),
            Comparison(RECALL_16, "delta", "linear"),
            Comparison("loss_second", "linear", "delta"),
        ),
        "",
        ("compare", "retrieval"),
    ),
    Claim(
        "recall-order",
        "On recall at width 32: softmax > Taylor-2 ≈ DeltaNet > NormAttention > elu + 1.",
        "one seed each: softmax .990, Taylor-2 .982, DeltaNet .970, NormAttention .911, elu + 1 "
        ".766, a window of 8 .009",
        f"{BASED}; {ZOOLOGY}",
        (
            Comparison(RECALL_16, "softmax", "based"),
            Comparison(RECALL_16, "based", "delta", NEAR),
            Comparison(RECALL_16, "based", "norm_attention"),
            Comparison(RECALL_16, "delta", "norm_attention"),
            Comparison(RECALL_16, "norm_attention", "linear"),
            Comparison(RECALL, "norm_attention", "linear"),
        ),
        "Their rules, at a smaller vocabulary; 16 pairs, because all but the window answer 8.",
        ("retrieval",),
    ),
)  # fmt: skip
