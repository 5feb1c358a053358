"""The HTTP API: the server, its table of routes, and the OpenAPI document made from it."""
