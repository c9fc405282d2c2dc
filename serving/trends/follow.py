"""Following what is counted: a worker takes the file whenever it is news."""

from __future__ import annotations

import asyncio
from typing import Protocol

from recsys.models.trends import Trends
from serving.clock import utc_now
from serving.settings import ServingSettings
from serving.trends.file import TrendsFile


class Wanting(Protocol):
    """Whoever serves what is wanted."""

    async def want(self, counted: Trends) -> None:
        """Serve with this as what is wanted from now on."""
        ...


async def keep_wanting(settings: ServingSettings, served: Wanting) -> None:
    """Look at the file for good, and have its counts served whenever they are news."""
    file = TrendsFile(settings.trends_file, utc_now)
    while True:
        if file.is_news():
            await served.want(await asyncio.to_thread(file.read))
        await asyncio.sleep(settings.release_poll_s)
