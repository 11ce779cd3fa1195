"""Text that others wrote, made inert for Streamlit's markdown: no link, image, maths or colour."""

import re

JOINER = "\u2060"  # draws nothing; keeps bare addresses from being turned into links


def plain(text: str) -> str:
    """The same characters on the page, none of them acting as markdown."""
    escaped = re.sub(r"([\\`*_\[\]()!$:<>#|~{}])", r"\\\1", text)
    return re.sub(r"(\\:|www|@)(?=[/.\w])", rf"\1{JOINER}", escaped)
