"""The HTTP API: the server, its table of routes, and the OpenAPI document generated from it."""
