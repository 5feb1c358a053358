"""Renders the templates. Every text is escaped, and control characters in it are written out."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from launcher import __version__
from launcher.text import job_format, moments
from launcher.text.safe_text import safe
from launcher.web import bounds
from launcher.web.pages import static_files

_HERE = Path(__file__).parent / "templates"


def render(name: str, **values: Any) -> Markup:
    """Return a template's text, safe to stand in another page."""
    return Markup(environment().get_template(name).render(values))


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates, parsed when they are first used."""
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    result.filters |= {
        "advice": job_format.advice_text,
        "duration": moments.duration,
        "gpus": job_format.gpus,
        "memory": memory,
        "moment": moment,
        "multiline": multiline,
        "percent": lambda part: f"{part:.1%}",
        "span": moments.span,
    }
    result.globals |= {"static": static_files.url, "version": __version__}
    return result


def _shown(value: Any) -> Any:
    """Return what is shown of a value: nothing of None, and texts without control characters."""
    if value is None:
        return ""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return safe(value[: bounds.MOST_TEXT])


def multiline(text: str, most: int = bounds.MOST_TEXT) -> Markup:
    """Return a text of several lines, and so many characters; other controls are written out."""
    return escape(safe(text[:most], newlines=True))


def memory(mib: float | None) -> str:
    """Return an amount of memory in MiB as people write it.

    >>> memory(512), memory(5952), memory(None)
    ('512 MiB', '5.8 GiB', 'unknown')
    """
    if mib is None:
        return "unknown"
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def moment(text: str | None, mode: str = "ago") -> Markup:
    """Return a moment as a time element: absolute, the script makes it relative.

    ``mode`` is ago, until or for (how long something has lasted). So the text does not change
    with every second, and a page without the script is readable.
    """
    at = moments.moment(text)
    if at is None:
        return Markup("")
    shown = moments.second(text or "").replace("T", " ").replace("Z", " UTC")
    return Markup('<time datetime="{}" data-mode="{}">{}</time>').format(
        moments.second(text or ""), mode, shown
    )
