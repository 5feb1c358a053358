"""Variables in texts and env files, as Compose reads both."""
