"""``python -m launcher``: the same command as ``launch``."""

from launcher.cli import main

if __name__ == "__main__":
    main()
