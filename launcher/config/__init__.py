"""launcher.toml, environment and flags: read once, checked, frozen. A key is one field."""
