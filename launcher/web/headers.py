"""The headers of every reply, and plain replies."""

from __future__ import annotations

from aiohttp import web

from launcher import __version__

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy: a reply loads nothing. A page with its own needs a route's own."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of pages: the service's own files alone; no script or style in the page itself."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": f"launcher/{__version__}",
}
"""There is none of CORS: pages of other origins read nothing."""
PAGE_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send no Origin with forms
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that a handler did not set itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = HEADERS["Server"]


def text_reply(status: int, text: str) -> web.Response:
    """Return a sentence as a reply."""
    return web.Response(status=status, text=f"{text}\n")


def page_reply(html: str, status: int = 200) -> web.Response:
    """Return a page as a reply."""
    return web.Response(status=status, text=html, content_type="text/html", headers=PAGE_HEADERS)


def redirect(path: str) -> web.Response:
    """Send the browser to another page of this service, by GET."""
    return web.Response(status=303, headers={"Location": path})
