"""The Streamlit app: reads the URL, asks the engine, draws Results. It holds no maths."""
