"""The web page before a queue of 10,000 jobs: its size, its time, and what open pages cost."""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator

from launcher.fakegpu import Machine
from launcher.wire import EditRequest, JobSpec
from tests.benchmarks.processor import share_of_core
from tests.benchmarks.setup import ONE, Result, Stand
from tests.support.daemon import DaemonProcess
from tests.support.user import OrdinaryUser
from tests.support.web import WebProcess

WAITING, BATCH = 10_000, 1000
OPEN = 50
RUNS = 9
USER = "nobody"
NOWHERE = "unix:///nonexistent/docker.sock"


def page(stand: Stand) -> list[Result]:
    """The first paint of the overview, and pages that stay open while the queue changes."""
    machine = Machine.create(stand.place / "page-machine", "A30:1g.6gb*4")
    config = f'[users]\nobserver = "{USER}"\n'
    with contextlib.ExitStack() as held:
        daemon = DaemonProcess(NOWHERE, machine, stand.place / "page-state", config=config).start()
        held.callback(daemon.close)
        spec = JobSpec(name="train", image="busybox", gpus=ONE, time_limit=3600.0)
        for _ in range(WAITING // BATCH):
            job = daemon.client.submit([spec] * BATCH)[0]
        user = OrdinaryUser(USER)
        held.callback(user.close)
        web = WebProcess(daemon, user)
        held.callback(web.close)
        size = _first_paint(web)
        times = [_timed(web) for _ in range(RUNS)]
        received = held.enter_context(_open_pages(web))
        held.enter_context(_changing(daemon, job.id))
        assert daemon.process is not None
        shares = share_of_core(web.process.pid, daemon.process.pid)
        assert len(received) == OPEN
        assert min(received.values()) > 5 * size, "every page got its updates"
    what = f"with {WAITING} jobs waiting"
    open_ = f"{OPEN} open pages {what}, a change a second"
    return [
        Result("page", f"bytes of the first paint {what} / 100 KiB", size, 102_400.0, 1.0, "B"),
        Result("page", f"GET / {what} / 100 ms", statistics.median(times), 0.1, 1.0),
        Result("open", f"launch web: {open_} / a tenth of a core", shares[0], 0.1, 1.0),
        Result("open", f"the daemon: {open_} / a tenth of a core", shares[1], 0.1, 1.0),
    ]


def _first_paint(web: WebProcess) -> int:
    """Return the bytes of the page and of what it loads before it is shown."""
    body = web.get("/")[1]
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', body)
    return sum(len(text.encode()) for text in (body, *(web.get(file)[1] for file in files)))


def _timed(web: WebProcess) -> float:
    """Return the seconds of a page that is rendered for this request."""
    time.sleep(1.1)  # a page is rendered once a second, however many look
    began = time.perf_counter()
    web.get("/")
    return time.perf_counter() - began


@contextlib.contextmanager
def _open_pages(web: WebProcess) -> Iterator[Counter[int]]:
    """Keep pages open that read what they are sent; yields the bytes of each."""
    host, _, port = web.url.removeprefix("http://").partition(":")
    received: Counter[int] = Counter()
    pages = [socket.create_connection((host, int(port))) for _ in range(OPEN)]
    for each in pages:
        each.sendall(b"GET /live/overview HTTP/1.1\r\nHost: localhost\r\n\r\n")
        threading.Thread(target=_drain, args=(each, received), daemon=True).start()
    try:
        yield received
    finally:
        for each in pages:
            each.shutdown(socket.SHUT_RDWR)
            each.close()


def _drain(page: socket.socket, received: Counter[int]) -> None:
    number = page.fileno()
    with contextlib.suppress(OSError):
        while piece := page.recv(1 << 16):
            received[number] += len(piece)


@contextlib.contextmanager
def _changing(daemon: DaemonProcess, job: int) -> Iterator[None]:
    """Change the priority of the first job in the queue, once a second."""
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.wait(1.0):
            number += 1
            daemon.client.edit(job, EditRequest(priority=60 + number % 30))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
