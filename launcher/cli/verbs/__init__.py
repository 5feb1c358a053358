"""The verbs: one module each, loaded when called, in rooms as ``launch --help`` groups them."""
