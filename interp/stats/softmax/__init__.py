"""Statistics of a softmax of dot products on the processor, and from stock attention calls."""
