"""The routes about the layout of the GPUs, and about slices out of service."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from launcher import wire
from launcher.daemon.api import query_params
from launcher.daemon.api.handlers import layouts
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import PAGE_SIZE, TIMEOUT, text
from launcher.daemon.api.route import Access, Route
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller


async def _layout(context: Context, caller: Caller, request: web.Request) -> Any:
    return await layouts.show(context)


async def _profiles(context: Context, caller: Caller, request: web.Request) -> Any:
    return await layouts.profiles(context, caller, request.query.get("gpu"))


async def _plan(context: Context, caller: Caller, request: web.Request) -> Any:
    return await layouts.plan(context, convert.parse(wire.LayoutRequest, await request.read()))


async def _changes(context: Context, caller: Caller, request: web.Request) -> Any:
    return await layouts.changes(context, query_params.whole_number(request.query, "most") or 50)


async def _wait_for_change(context: Context, caller: Caller, request: web.Request) -> Any:
    seconds = query_params.wait_timeout(request.query)
    return await layouts.wait_for_change(context, _change_id(request), seconds)


async def _cancel_change(context: Context, caller: Caller, request: web.Request) -> Any:
    return await layouts.cancel(context, _change_id(request))


def _change_id(request: web.Request) -> int:
    return query_params.whole_number(request.match_info, "id") or 0


async def _saved(context: Context, caller: Caller, request: web.Request) -> Any:
    return await layouts.saved(context)


async def _current(context: Context, caller: Caller, request: web.Request) -> Any:
    return layouts.current(context.world)


async def _restore(context: Context, caller: Caller, request: web.Request) -> Any:
    wanted = layouts.restoring(context.world, await layouts.saved(context))
    return await layouts.change(context, caller, wanted)


async def _drain(context: Context, caller: Caller, request: web.Request) -> Any:
    asked = convert.parse(wire.DrainRequest, await request.read())
    return await layouts.drain(context, caller, request.match_info["ref"], asked.reason)


GPU = text("gpu", "A GPU's index or UUID.")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/layout", Access.ANYONE, None, list[wire.GpuView], _layout),
    Route(
        "GET",
        "/v1/layout/profiles",
        Access.ANYONE,
        None,
        list[wire.ProfileView],
        _profiles,
        query=(GPU,),
    ),
    Route("GET", "/v1/layout/current", Access.ANYONE, None, list[wire.SavedGpu], _current),
    Route("GET", "/v1/layout/saved", Access.ANYONE, None, list[wire.SavedGpu], _saved),
    Route(
        "POST",
        "/v1/layout/save",
        Access.ADMIN,
        None,
        list[wire.SavedGpu],
        layouts.save,
        direct=True,
    ),
    Route("POST", "/v1/layout/restore", Access.ADMIN, None, wire.LayoutChange, _restore),
    Route(
        "POST",
        "/v1/layout/plan",
        Access.ANYONE,
        wire.LayoutRequest,
        wire.LayoutPlan,
        _plan,
        costly=True,
    ),
    Route(
        "GET",
        "/v1/layout/changes",
        Access.ANYONE,
        None,
        list[wire.LayoutChange],
        _changes,
        query=(PAGE_SIZE,),
    ),
    Route(
        "POST",
        "/v1/layout/changes",
        Access.ADMIN,
        wire.LayoutRequest,
        wire.LayoutChange,
        layouts.change,
        direct=True,
    ),
    Route(
        "GET",
        "/v1/layout/changes/{id}/wait",
        Access.ANYONE,
        None,
        wire.LayoutChange,
        _wait_for_change,
        query=(TIMEOUT,),
    ),
    Route(
        "POST",
        "/v1/layout/changes/{id}/cancel",
        Access.ADMIN,
        None,
        wire.LayoutChange,
        _cancel_change,
    ),
    Route(
        "POST",
        "/v1/slices/{ref}/drain",
        Access.ADMIN,
        wire.DrainRequest,
        list[wire.SliceView],
        _drain,
    ),
)
