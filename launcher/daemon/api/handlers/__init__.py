"""What the routes do: each reads the request, asks the event loop, returns a view."""
