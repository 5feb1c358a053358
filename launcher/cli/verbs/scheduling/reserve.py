"""``launch reserve``: keep slices for a user or a group, for a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.output.charts.reservation_tables import print_reservations
from launcher.jobfile.values import gpu_spec, waiting

if TYPE_CHECKING:
    from launcher.wire import ReserveRequest

SLICES = params.Parsed("uuid", gpu_spec.parse_uuids)
END = params.Parsed("time", waiting.parse_end)


@click.command("reserve", short_help="Keep slices for a user or a group.")
@click.option("--profile", type=params.PROFILE, help="Slices of this profile: 1g.6gb.")
@click.option("--count", type=params.COUNT, metavar="N", help="How many of them (1).")
@click.option(
    "--slice",
    "slices",
    type=SLICES,
    multiple=True,
    metavar="UUID",
    help="This one; again for more.",
)
@click.option("--user", type=params.OWNER, metavar="NAME", help="For this user.")
@click.option("--group", type=params.TEXT, metavar="NAME", help="For this group's members.")
@click.option("--interactive", is_flag=True, help="For everybody's interactive jobs (-i).")
@click.option(
    "--begin", type=params.BEGIN, metavar="TIME", help="From: 2026-12-01T02:00, or +2h from now."
)
@click.option(
    "--end", type=END, metavar="TIME", help="Until then; 06:00 is the first after --begin."
)
@click.option("--for", "length", type=params.TIME_LIMIT, metavar="DURATION", help="For this long.")
@click.option("--cancel", is_flag=True, help="Take the reservation back.")
@click.option("--list", "listing", is_flag=True, help="Show the reservations (without NAME too).")
@output_option
@click.argument("name", required=False, type=params.RESERVATION, metavar="[NAME]")
def command(name: str | None, cancel: bool, listing: bool, output: str, **wanted: Any) -> None:
    """Keep slices for a user, a group or interactive jobs, for a time (admins).

    Only jobs of theirs start there then, and before it only jobs whose time limit ends in time.
    Which slices is said by --profile and --count, or by --slice. Without NAME the reservations are
    shown, with a timeline of each slice; `launch reserve NAME --cancel` takes one back.
    """
    given = [word for word, value in wanted.items() if value not in (None, (), False)]
    if name is None or listing or cancel:
        _check(name, given, cancel=cancel, listing=listing)
        queue = connect().queue
        result = queue.unreserve(name) if name is not None else queue.reservations()
        print_reservations(result, output)
        return
    request = _request(name, wanted)
    print_reservations([connect().queue.reserve(request)], output)


def _check(name: str | None, given: list[str], *, cancel: bool, listing: bool) -> None:
    """Refuse what makes no sense beside ``--list`` and ``--cancel``, or without NAME."""
    if cancel and listing:
        raise _usage("--cancel and --list cannot be used together.")
    if cancel and name is None:
        raise _usage("Say which reservation to cancel: NAME.")
    if listing and name is not None:
        raise _usage("--list shows all reservations: leave NAME out.")
    if given:
        flag = "for" if given[0] == "length" else given[0].removesuffix("s")
        where = (
            f"beside --{'cancel' if cancel else 'list'}" if cancel or listing else "without NAME"
        )
        raise _usage(f"--{flag} means nothing {where}.")


def _request(name: str, wanted: dict[str, Any]) -> ReserveRequest:
    """Return what is asked for; what is missing or too much is wrong usage."""
    from launcher.wire import ReserveRequest

    profile, count, uuids = wanted["profile"], wanted["count"], wanted["slices"]
    if (profile is None) == (not uuids):
        raise _usage("Say which slices: --profile, or --slice, one of them.")
    if count is not None and uuids:
        raise _usage("--count goes with --profile.")
    for_whom = [wanted[each] or None for each in ("user", "group", "interactive")]
    if for_whom.count(None) != 2:
        raise _usage("Say for whom: --user, --group or --interactive, one of them.")
    if wanted["begin"] is None or (wanted["end"] is None) == (wanted["length"] is None):
        raise _usage("Say when: --begin, and --end or --for, one of them.")
    start = datetime.fromisoformat(wanted["begin"])
    length = wanted["length"]
    end = _end(wanted["end"], start) if length is None else start + timedelta(0, length)
    if end <= start:
        raise _usage("--end must be later than --begin.")
    return ReserveRequest(
        name=name,
        start=wanted["begin"],
        end=end.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        user=wanted["user"],
        group=wanted["group"],
        slices=list(dict.fromkeys(uuid for each in uuids for uuid in each)),
        profile=None if profile is None else profile.profile or profile.kind,
        count=count or 1,
    )


def _end(text: str, start: datetime) -> datetime:
    """Return the end of a reservation; a time of day is the next one after its start."""
    try:
        return datetime.fromisoformat(waiting.parse_begin(text, start))
    except ValueError as error:
        raise _usage(f"--end: {error}") from None


def _usage(message: str) -> click.UsageError:
    return click.UsageError(message, click.get_current_context(silent=True))
