"""The asyncio shell: one loop decides, one thread commits, runners act, observers report.

Wires ``core`` to ``store``, ``gpu`` and ``engine``, and serves the HTTP API of ``wire``. It
contains no scheduling rule.
"""
