"""Statistics of attention rows, reduced layer by layer so that no n x n matrix is kept."""
