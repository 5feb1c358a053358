"""A pipeline with asyncio: each model is evaluated as soon as it is trained.

Trainings run side by side if there are slices. One that fails ends its own branch alone.
"""

import asyncio

from launcher import AsyncClient
from launcher.errors import JobFailed


async def branch(client: AsyncClient, layers: int) -> str:
    """Train a model, then evaluate it on a CPU."""
    training = await client.run(
        "busybox", ["sh", "-c", f"[ {layers} -lt 8 ] && echo model-{layers}"], profile="1g.6gb"
    )
    try:
        await training.result()
    except JobFailed as error:
        return f"{layers} layers: {error.outcome}"
    model = (await training.output()).strip()
    async with await client.run("busybox", ["echo", "evaluated", model]) as evaluation:
        lines = [line async for line in evaluation.logs(follow=True)]
    return f"{layers} layers: {lines[0]}"


async def main() -> None:
    client = AsyncClient()
    for report in await asyncio.gather(*(branch(client, layers) for layers in (2, 4, 8))):
        print(report)


asyncio.run(main())
