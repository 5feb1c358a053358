"""launcher.toml, environment and flags: read once, checked, frozen. One module per table."""
