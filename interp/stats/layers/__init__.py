"""Sources: how each kind of layer is read without building its matrix."""
