"""Request handlers: each reads the request, calls the event loop, and returns a view."""
