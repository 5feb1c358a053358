"""Jobs as objects: ``Client.run``, ``Client.map`` and what they return.

Without asyncio; what both clients share, such as the values of a map, is here too.
"""
