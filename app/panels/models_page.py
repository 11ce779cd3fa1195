"""Models page, piece by piece: what there is, what was added, adding and deleting."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from app import may
from app.engine_room import Answer, ask, engine, problems, watch
from app.panels.wide_table import wide_table
from app.plain import plain
from interp.adding import add_work, forget
from interp.catalog import entries, on_the_shelf
from interp.engine.cost import in_words
from interp.store import StoreError
from models import shelf
from models.incoming import bpe, config, folders
from models.incoming.keeping import Kept, Offer, kept
from models.incoming.receiving import LARGEST, receive
from models.incoming.words import LONGEST, Rejected

MIB = 2**20
# Streamlit writes a file's limit in rounded gigabytes; ours stands in the label.
LIMITS = "<style>.stForm [data-testid=stFileUploaderDropzoneInstructions] {display: none}</style>"


def headline(mine: Mapping[str, Kept]) -> None:
    """How many there are."""
    whole = sum(1 for one in mine.values() if not one.problem)
    broken = len(mine) - whole
    words = f"{len(entries()) - broken:,} models to choose from, {whole} of them added here"
    if broken:
        words += f"; {broken} {'is' if broken == 1 else 'are'} damaged and set aside"
    with st.container(key="of-models-answer"):
        st.markdown(f"#### {words}.")
        st.caption(
            "All of them are in the sidebar's list of every page. Counts of files; they are no "
            "measurements and have no interval."
        )


def pending() -> list[Answer]:
    """The check that this session waits for; what came of it is noted when it is over."""
    offer: Offer | None = st.session_state.get("adding")
    if offer is None:
        return []
    answer = ask(add_work(offer), "adding")
    if answer.pending:
        return [answer]
    offer.weights.drop()  # a check that was cancelled in the queue never began
    st.session_state["adding"] = None
    st.session_state["added"] = answer.result or ""
    st.session_state["add_problem"] = (
        "Cancelled; nothing was kept." if answer.problem.startswith("Cancelled") else answer.problem
    )
    return []


def add(waiting: list[Answer]) -> None:
    """The form, or how far the check is."""
    mine = st.session_state.get("added", "")
    name = f"**{plain(kept()[mine].title)}**" if mine in kept() else ""
    if name:
        with st.container(key="of-models-added-notes"):
            st.success(f"{name} was checked and added. Every page's list of models has it now.")
    if st.session_state.get("add_problem"):
        st.error(plain(st.session_state["add_problem"]))
    if waiting:
        st.markdown("The model is being checked; it takes some seconds.")
        watch(waiting, "adding")
        return
    again = bool(st.session_state.get("add_problem"))  # who was refused wants the form again
    with st.expander("Add a model", icon=":material/upload:", expanded=again or not kept()):
        form()


def form() -> None:
    """Weights, config, tokenizer, title."""
    reason = may.reason(may.change_models)
    if reason:
        st.caption(plain(reason))
    again = st.session_state.setdefault("add_round", 0)
    st.html(LIMITS)
    with st.form("add-model", border=False):
        st.file_uploader(
            f"Weights (.safetensors, up to {in_words(LARGEST)})",
            key=f"add_weights_{again}",
            type=["safetensors"],
            max_upload_size=LARGEST // MIB,
            disabled=bool(reason),
            help="Half or single precision, with the names that our Transformer has. Pickles "
            "(.pt, .bin), archives and GGUF are refused.",
        )
        left, right = st.columns(2)
        left.file_uploader(
            "Config (.json)",
            key=f"add_config_{again}",
            type=["json"],
            max_upload_size=1,
            disabled=bool(reason),
            help="The fields of a model of ours: variant, n_layers, d_model, n_heads, d_mlp, "
            "vocab_size, n_ctx, positions. The card.json that training writes will do.",
        )
        right.file_uploader(
            "Tokenizer (.json), unless the model reads bytes",
            key=f"add_tokenizer_{again}",
            type=["json"],
            max_upload_size=bpe.LARGEST_FILE // MIB,
            disabled=bool(reason),
            help="The tokenizer.json that training writes: byte-level BPE. Without one, "
            "token i is byte i and vocab_size is that of bytes.",
        )
        st.text_input(
            "Title",
            key=f"add_title_{again}",
            max_chars=LONGEST,
            disabled=bool(reason),
            placeholder="The name of the weights' file, unless you type one",
        )
        st.form_submit_button(
            "Check and add",
            type="primary",
            disabled=bool(reason),
            help=plain(reason) or None,
            on_click=offered,
        )


def offered() -> None:
    """The form was sent: the files are received once, or a sentence says why not."""
    again = st.session_state["add_round"]
    given = {
        what: st.session_state.get(f"add_{what}_{again}")
        for what in ("weights", "config", "tokenizer", "title")
    }
    st.session_state.update(added="", add_problem="")
    try:
        may.change_models()
        st.session_state["adding"] = taken(given)
    except (Rejected, StoreError) as problem:
        st.session_state["add_problem"] = str(problem)
    st.session_state["add_round"] = again + 1  # fresh widgets let go of the files


def taken(given: Mapping[str, object]) -> Offer:
    """What was brought, copied; raises Rejected for what is missing or of another kind."""
    weights, described, reads = (given[what] for what in ("weights", "config", "tokenizer"))
    if weights is None or described is None:
        lacks = "weights" if weights is None else "config"
        raise Rejected(f"The {lacks} are missing: choose a file of both, then check again.")
    source = weights.name
    return Offer(
        receive(weights),
        described.getvalue()[: config.LARGEST_FILE + 1],
        reads.getvalue()[: bpe.LARGEST_FILE + 1] if reads is not None else None,
        given["title"] or source,
        source,
    )


def listed(mine: Mapping[str, Kept]) -> None:
    """Every model that was added, with what it is and what can be done with it."""
    reason = may.reason(may.change_models)
    for one in mine.values():
        with st.container(border=True, key=f"of-{one.name}-notes"):
            st.markdown(f"**{plain(one.title)}**")
            if one.problem:
                st.error(plain(f"Set aside: {one.problem}"))
            if one.card:
                st.caption(plain(described_words(one)))
            with st.container(horizontal=True, vertical_alignment="center"):
                st.page_link(
                    "views/explore.py",
                    label="Open in Explore",
                    icon=":material/grid_view:",
                    query_params={"model": one.name},
                    disabled=bool(one.problem and not one.card),
                )
                with st.popover(
                    "Delete",
                    icon=":material/delete:",
                    disabled=bool(reason),
                    help=plain(reason) or None,
                ):
                    st.markdown(f"Delete **{plain(one.title)}** for everybody? Saved results stay.")
                    st.button(
                        "Delete it", key=f"delete_{one.name}", on_click=deleted, args=(one.name,)
                    )


def described_words(one: Kept) -> str:
    """A card in one line."""
    said = one.card["config"]
    reads = "bytes" if one.card["tokenizer"]["kind"] == "bytes" else "its own tokenizer"
    return (
        f"{one.name} · {said['variant']}, {said['n_layers']} layers × {said['n_heads']} heads · "
        f"{one.card['parameters']:,} parameters, {one.card['weights']['dtype']} · reads {reads}, "
        f"{said['vocab_size']:,} tokens · sha256 {one.card['weights']['sha256'][:16]} · from "
        f"{one.card['source']}, {in_words(one.card['bytes'])}, added {one.card['added']}"
    )


def deleted(name: str) -> None:
    """Delete was confirmed."""
    st.session_state.update(added="", add_problem="")
    problems().clear()
    try:
        may.change_models()
        forget(engine(), name)
    except (ValueError, StoreError, OSError) as problem:
        st.session_state["add_problem"] = str(problem)


def others(mine: Mapping[str, Kept]) -> None:
    """Every other model that can be chosen, and where it comes from."""
    with st.expander("All other models"):
        cards, shelved = shelf.names(), on_the_shelf()
        local = folders.offered()
        rows = []
        for name, entry in entries().items():
            if name in mine:
                continue
            card = shelf.read_card(cards[name.removeprefix("zoo-")]) if name in shelved else {}
            numbers = card.get("parameters")
            rows.append(
                {
                    "Model": entry.title,
                    "Name": name,
                    "Parameters": f"{numbers:,}" if numbers else "when it is loaded",
                    "Weights' sha256": card["weights"]["sha256"][:16] if card else "when loaded",
                    "Source": "allowed folder"
                    if name in local
                    else "comes with Headlamp, or trained or configured here",
                }
            )
        wide_table(pd.DataFrame(rows).set_index("Model"), "models")
