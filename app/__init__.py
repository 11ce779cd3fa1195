"""The Streamlit app: reads the URL, asks the engine, draws Results. It holds no maths."""

import models  # noqa: F401  (its thread settings must stand before Streamlit imports numpy)
