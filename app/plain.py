"""Text that others wrote, made inert for Streamlit's markdown: no link, image, maths or colour."""

import re


def plain(text: str) -> str:
    """The same characters on the page, none of them acting as markdown."""
    return re.sub(r"([\\`*_\[\]()!$:<>#|~{}])", r"\\\1", text)
