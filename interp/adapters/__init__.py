"""How our own models and pretrained ones answer as a Subject."""
