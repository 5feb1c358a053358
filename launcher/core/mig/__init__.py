"""Changes of the MIG layout: what must be destroyed and created, step by step. Pure."""
