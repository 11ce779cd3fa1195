"""Statistics of linear recurrences: what adds up along them, and rows written out in chunks."""
