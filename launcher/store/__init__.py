"""SQLite, and only here: what is recorded before anything outside is touched, and read back.

May import ``launcher.core`` and ``launcher.errors``. One writer: ``Store``, called from one thread;
``Reader`` has a connection of its own. No decision is made here; the database only refuses what
must never be (two live leases on one slice, a job that ended without an outcome).
"""

from launcher.store.reader import Reader
from launcher.store.rows import Stored
from launcher.store.store import Store

__all__ = ["Reader", "Store", "Stored"]
