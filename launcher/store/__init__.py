"""The only room that uses SQLite: records changes before they take effect, and reads them back.

May import ``launcher.core`` and ``launcher.errors``. One writer: ``Store``, called from one thread;
``Reader`` has a connection of its own. No decision is made here; the database only refuses invalid
states (two live leases on one slice, a job that ended without an outcome).

Every table that grows has a bound:

===============  ==================================================================================
jobs, attempts,  live jobs by the quotas (``queued_jobs``, ``queued_bytes``), ended ones by age
leases, history  (``[history] keep``); a job has at most 1,000 attempts and changes
arrays           deleted with their last element
pruned           100,000 ranges of ids; the oldest lose their date
usage            a row for each day, user, profile, image, name and outcome: 100 pairs of image and
                 name of a user a day
capacity         the last 100,000 changes of the slices that the machine has
events           the last 100,000
audit            the last 100,000 lines of each user
layouts          the last 10,000 changes
notify_targets   one row for each user who set some
notify_failures  the last 10,000
uses             one row for each user who ever ran a job
tallies, meta    one row for each outcome; a fixed set of keys
quarantines,     what is on the machine: slices, GPUs, GPU instances
drains, made
reservations     what admins created; expired ones are deleted
private_images,  images in Docker; removed images are deleted
public_images,
pulled_images
own_images       by the quota ``image_bytes``, at most 200 of a user
pulls            pulls with credentials that are under way: by the quota ``queued_jobs``
===============  ==================================================================================

In memory the world holds live jobs, the contents of the tables about the machine, and one small
entry for each user; ``RecentEnds`` has a bound of its own.
"""

from launcher.store.reader import Reader
from launcher.store.rows.rows import Stored
from launcher.store.store import Store

__all__ = ["Reader", "Store", "Stored"]
