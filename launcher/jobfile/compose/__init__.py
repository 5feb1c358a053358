"""Compose files: each service becomes the mapping of a job, which ``reading`` reads as any other.

Nodes keep the places where they stood, so that every mistake is told where the Compose file has it.
"""
