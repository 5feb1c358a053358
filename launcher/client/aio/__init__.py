"""The asyncio twin of the client: ``from launcher import AsyncClient``.

Its requests and their types are those of ``Client``, see ``awaited``. They need no thread.
asyncio is imported only here.
"""
