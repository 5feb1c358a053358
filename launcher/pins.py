"""``python -m launcher.pins``: what the mount helper is called in the service units of 0.1.0."""

from __future__ import annotations

import sys

from launcher.mount_helper.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
