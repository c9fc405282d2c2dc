"""The stage of the demo: where it plays, and how its commands and results are shown."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable
from rich.console import Console

from examples.shop_server import recsys

DATA = Path("data/demo")
PORT = os.environ.get("PORT", "50051")
ADDRESS = f"127.0.0.1:{PORT}"

console = Console(highlight=False, soft_wrap=True)


class DemoFailed(Exception):
    """A step did not do what it should; the message says which and what to look at."""


def lake_query(sql: str, *values: str) -> list[tuple]:  # type: ignore[type-arg]
    """Return the rows of a query over the lake, read as any analyst could."""
    tables = {name: DeltaTable(DATA / "lake" / name) for name in ("events", "items")}
    files = {
        name: f"read_parquet({[unquote(uri) for uri in table.file_uris()]!r})"
        for name, table in tables.items()
    }
    return duckdb.execute(sql.format(**files), list(values)).fetchall()


def recent_households(number: int) -> list[str]:
    """Return the households that were seen last."""
    lines = lake_query(
        "SELECT user_id FROM {events} WHERE user_id <> '' GROUP BY user_id "
        f"ORDER BY max(time) DESC, user_id LIMIT {number}"
    )
    return [str(user) for (user,) in lines]


def run(*arguments: str) -> None:
    """Run one command of recsys, shown first; raise DemoFailed when it fails."""
    echo(*arguments)
    done = subprocess.run([recsys(), *arguments], check=False)
    if done.returncode:
        raise DemoFailed(f"`recsys {' '.join(arguments)}` ended with {done.returncode}")


def echo(*arguments: str) -> None:
    console.print(f"\n[bold cyan]$ recsys {' '.join(arguments)}[/]")


def scene(title: str, subtitle: str) -> None:
    console.rule(f"[bold]{title}[/]" + (f"  [dim]{subtitle}[/]" if subtitle else ""))
