"""The routes for the layout of the GPUs, drains and quarantines."""

from __future__ import annotations

from launcher import wire
from launcher.daemon.api.handlers import layouts, saved_layouts
from launcher.daemon.api.query_params import TIMEOUT, page_size, text
from launcher.daemon.api.route import Access, Route, get, post

ADMIN = Access.ADMIN
GPU = text("gpu", "A GPU's index or UUID.")
NAME = text("name", "The name of a saved layout; without it the one restored after a reboot.")
SAVED = list[wire.SavedGpu]
REQUEST, CHANGE = wire.LayoutRequest, wire.LayoutChange

ROUTES: tuple[Route, ...] = (
    get("/v1/layout", layouts.show, list[wire.GpuView]),
    get("/v1/layout/profiles", layouts.profiles, list[wire.ProfileView], GPU),
    get("/v1/layout/current", saved_layouts.current, SAVED),
    get("/v1/layout/saved", saved_layouts.saved, SAVED, NAME),
    get("/v1/layout/saved/all", saved_layouts.list_saved, list[wire.SavedLayout]),
    post("/v1/layout/save", saved_layouts.save, wire.SaveRequest, SAVED, access=ADMIN),
    post("/v1/layout/restore", saved_layouts.restore, wire.RestoreRequest, CHANGE, access=ADMIN),
    post("/v1/layout/plan", layouts.plan, REQUEST, wire.LayoutPlan, costly=True),
    get("/v1/layout/changes", layouts.changes, list[wire.LayoutChange], page_size(50)),
    post("/v1/layout/changes", layouts.change, REQUEST, CHANGE, access=ADMIN),
    get("/v1/layout/changes/{id}/wait", layouts.wait_for_change, CHANGE, TIMEOUT),
    post("/v1/layout/changes/{id}/cancel", layouts.cancel, None, CHANGE, access=ADMIN),
    post(
        "/v1/slices/{ref}/drain",
        layouts.drain,
        wire.DrainRequest,
        list[wire.SliceView],
        access=ADMIN,
    ),
)
