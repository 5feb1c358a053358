"""The asyncio twin of the client: ``from launcher import AsyncClient``.

Its requests and their types are those of ``Client``, see ``awaited``. It needs no thread; only here
is asyncio imported.
"""
