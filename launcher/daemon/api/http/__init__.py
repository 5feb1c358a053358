"""Connections, request bodies and replies: HTTP below the routes."""
