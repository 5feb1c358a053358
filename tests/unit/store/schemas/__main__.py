"""Write the database of the newest schema."""

import contextlib
import sqlite3
import tempfile
from pathlib import Path

from launcher.store.sql import migrations
from tests.unit.store.schemas import FOLDER, dump, written

with (
    tempfile.TemporaryDirectory() as place,
    contextlib.closing(sqlite3.connect(written(Path(place)))) as db,
):
    (FOLDER / f"{len(migrations()):02}.sql").write_text(dump(db), "utf-8")
