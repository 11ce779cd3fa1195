"""The Models page in a real browser: add, choose, probe; refusals; the same at a narrow window."""

import json
import pickle
from urllib.parse import urlencode

import pytest
import torch
from playwright.sync_api import Page, expect
from safetensors.torch import save

from interp.catalog import small
from models.home import home
from models.incoming import keeping
from models.transformer import Transformer
from tests.browser.conftest import drawn, press
from tests.browser.test_probe_pages import bare, settled

SMALL = small("window")


@pytest.fixture
def weights():
    """An untrained variant's weights, in half precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return {name: t.half() for name, t in Transformer(SMALL).state_dict().items()}


@pytest.fixture(autouse=True)
def tidy():
    """What a test added is gone after it."""
    before = set(keeping.kept())
    yield
    for name in set(keeping.kept()) - before:
        keeping.delete(name)


class Canary:
    """Unpickling it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def send(page: Page, raw: bytes, title: str) -> None:
    """Fill in the form and send it."""
    form = drawn(page).get_by_test_id("stForm")
    if not form.is_visible():
        page.get_by_text("Add a model").click()
    for place, (name, content) in enumerate(
        (("m.safetensors", raw), ("config.json", json.dumps(SMALL.to_dict()).encode()))
    ):
        widget = form.get_by_test_id("stFileUploader").nth(place)
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        widget.locator("input[type=file]").first.set_input_files(file)
        expect(widget.get_by_role("button", name=f"Remove {name}")).to_be_visible(timeout=30000)
    form.get_by_label("Title").fill(title)
    press(form.get_by_role("button", name="Check and add"))


def test_add_a_model_and_probe_it_and_what_is_refused(visit, weights, tmp_path):
    page = settled(visit("models"))
    canary = tmp_path / "canary"
    send(page, pickle.dumps(Canary(str(canary))), "evil")
    expect(page.get_by_text("a Python pickle, which can run programs")).to_be_visible(timeout=30000)
    assert not canary.exists()

    broken = weights | {"ln_final.w": torch.full_like(weights["ln_final.w"], torch.nan)}
    send(page, save(broken), "broken")
    expect(page.get_by_text("NaN or infinity in 'ln_final.w'")).to_be_visible(timeout=120000)

    send(page, save(weights), "<img src=x onerror=alert(1)> window")
    expect(page.get_by_text("was checked and added")).to_be_visible(timeout=120000)
    assert bare(drawn(page)) == []
    (name,) = (n for n, one in keeping.kept().items() if one.title.startswith("<img"))
    page.get_by_role("link", name="Open in Explore").click()
    page.wait_for_url(f"**model={name}*")
    title = "Uploaded: <img src=x onerror=alert(1)> window"
    expect(page.get_by_role("combobox", name="Model")).to_have_value(title, timeout=60000)
    link = urlencode({"model": name, "text": "The lamp was lit and the lamp was lit"})
    probed = settled(visit(f"sinks?{link}"))
    expect(probed.locator("h4").first).to_contain_text("L")
    assert home().joinpath("incoming", ".staging").exists()
