"""Changes of the MIG layout: the instances to destroy and create, step by step. Pure."""
