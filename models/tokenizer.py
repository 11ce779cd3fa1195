"""Bytes as tokens: 256 ids that can write any text, for our own models."""


class ByteTokenizer:
    """Token i is byte i."""

    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        """UTF-8 bytes of a text; raises ValueError for lone surrogates, which have none."""
        try:
            return list(text.encode("utf-8"))
        except UnicodeEncodeError as problem:
            raise ValueError(
                f"character {problem.start} is a lone surrogate, which UTF-8 cannot hold; remove it"
            ) from problem

    def decode(self, ids: list[int]) -> str:
        """The text, with U+FFFD where bytes are not UTF-8."""
        return bytes(ids).decode("utf-8", errors="replace")
