"""``launch help``: the manual, and the help of each verb."""

from __future__ import annotations

import sys
from importlib import resources

import click

from launcher.cli.input import params
from launcher.errors import UserError

TOPICS = {
    "tutorial": "From the first job to sweeps; CUDA without a container; Python.",
    "job-files": "Every key of a job file.",
    "python": "Jobs as objects, maps over values, asyncio.",
    "interactive": "Terminals, commands in running jobs, ports.",
    "laptop": "From your laptop by ssh: addresses, what runs where, connections.",
    "containers": "HOME and places to write, groups, limits; images that need root.",
    "verbs": "Every verb with its options; exit codes.",
    "operating": "Driver, layouts, configuration, retention, backup, clean-up.",
    "web": "The web page: logging in, what it shows, what protects it.",
    "monitoring": "Prometheus, Grafana, alerts, node_exporter, DCGM.",
    "sharing-and-security": "What a job may be, what is protected and what is not.",
    "troubleshooting": "What fails, what the daemon does, what you do.",
    "architecture": "Guarantees, scheduling order, output.",
    "speed": "Measurements, and what was never seen on a card.",
}
"""The pages of ``launcher/manual``, in reading order."""


@click.command("help", short_help="Read the manual.")
@click.argument("topic", type=params.TOPIC, required=False, metavar="[TOPIC|VERB|WORD]")
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """Show a page of the manual, or the help of a verb; without TOPIC, list the pages.

    Any other WORD is looked for in the pages: the section that is most about it is shown.

    On a terminal the page is formatted and shown in the pager; elsewhere it is printed as Markdown.
    """
    if topic is None:
        _list()
    elif topic in TOPICS:
        _show(page(topic))
    elif (text := _verb(ctx, topic)) is not None:
        click.echo(text)
    else:
        _search(topic)


def page(topic: str) -> str:
    """Return a page of the manual as Markdown."""
    return resources.files("launcher").joinpath("manual", f"{topic}.md").read_text("utf-8")


def _list() -> None:
    width = max(map(len, TOPICS))
    for topic, summary in TOPICS.items():
        click.echo(f"{topic:{width}}  {summary}")
    click.echo("\n`launch help TOPIC` shows one of them; `launch help VERB` the help of a verb,")
    click.echo("`launch help WORD` the section that is most about a word, such as jupyter or ssh.")


def _show(text: str) -> None:
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.pager(styles=True):
        console.print(Markdown(text, hyperlinks=False))


def _verb(ctx: click.Context, verb: str) -> str | None:
    """Return the help of a verb, None if there is no such verb."""
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    result = group.get_command(root, verb)
    if result is None:
        return None
    with click.Context(result, info_name=verb, parent=root, max_content_width=100) as context:
        return result.get_help(context)


def _search(word: str) -> None:
    """Show the section that is most about a word, and name the other ones that mention it."""
    from launcher.cli.output.manual_search import sections_with

    found = sections_with(word, {topic: page(topic) for topic in TOPICS})
    if not found:
        raise UserError(
            f"{word} is not a topic of the manual or a verb, and no page mentions it",
            fix="`launch help` lists the topics, `launch --help` the verbs.",
        )
    places = dict.fromkeys(f"- `launch help {each.topic}`: {each.heading}" for each in found)
    _show(
        f"{found[0].text}\n{word} is in these sections of the manual:\n\n"
        + "\n".join(places)
        + "\n"
    )
