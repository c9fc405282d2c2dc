"""The command `recsys`. It finds its subcommands by entry point, so neither shell knows the other.

Importing this module loads the standard library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from traceback import walk_tb
from typing import TYPE_CHECKING

from recsys.errors import RecsysError

if TYPE_CHECKING:
    import typer

GROUP = "recsys.commands"
OWN_PACKAGES = frozenset({"recsys", "serving", "training", "protos"})
INTERRUPTED = 130

HELP = """Recommend products: learn from a shop's events, then serve what to show each customer.

Example: recsys serve
"""


def main(arguments: Sequence[str] | None = None, points: Iterable[EntryPoint] | None = None) -> int:
    """Run one command and return its exit status.

    arguments: the words after `recsys`; None means those of this process.
    points: where the commands come from; None means all that are installed. The name of an
    entry point is also the name of the extra that its commands need.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    found = sorted(entry_points(group=GROUP) if points is None else points)
    try:
        return _flushed(_run(words, found))
    except RecsysError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if _is_own(error):
            raise
        return _fail(_hint(error, _extra_behind(error, found)))
    except BrokenPipeError:
        return _silenced()
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(words: Sequence[str], points: Sequence[EntryPoint]) -> int:
    """Run one command of those that can be loaded; name what the others lack."""
    import typer

    apps, hints = _loaded(points)
    epilog = "\n\n".join(hints).replace("[", "\\[")  # a bracket opens markup
    app = typer.Typer(epilog=epilog, no_args_is_help=True, add_completion=False)
    show_version = typer.Option(
        False, "--version", help="Print the version.", callback=_print_version, is_eager=True
    )

    @app.callback(help=HELP)
    def options(version: bool = show_version) -> None:
        pass

    for part in apps:
        app.add_typer(part)
    try:
        typer.main.get_command(app)(args=list(words), prog_name="recsys")
    except SystemExit as stop:
        if stop.code == 2 and hints:  # an unknown command may be one of those not loaded
            _fail("\n".join(hints))
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"recsys {version('recsys')}")
        raise SystemExit(0)


def _loaded(points: Sequence[EntryPoint]) -> tuple[list[typer.Typer], list[str]]:
    """Return the commands that can be loaded, and a hint for each group that cannot."""
    apps, hints = [], []
    for point in points:
        try:
            apps.append(point.load())
        except ModuleNotFoundError as error:
            if _is_own(error):
                raise
            hints.append(_hint(error, point.name))
    return apps, hints


def _is_own(error: ModuleNotFoundError) -> bool:
    """Return whether a module of ours is missing: a fault to show, not a package to install."""
    return (error.name or "").partition(".")[0] in OWN_PACKAGES


def _extra_behind(error: ModuleNotFoundError, points: Iterable[EntryPoint]) -> str:
    """Return the extra of the package whose code asked last for what is missing."""
    extras = {point.module.partition(".")[0]: point.name for point in points}
    packages = [
        frame.f_globals.get("__name__", "").partition(".")[0]
        for frame, _ in walk_tb(error.__traceback__)
    ]
    return next((extras[package] for package in reversed(packages) if package in extras), "")


def _hint(error: ModuleNotFoundError, extra: str) -> str:
    wanted = f"recsys[{extra}]" if extra else "recsys"
    commands = f"the {extra} commands" if extra else "this command"
    return f"{commands} need the package of {error.name!r}: pip install '{wanted}'"


def _fail(message: str) -> int:
    print(f"recsys: {message}", file=sys.stderr)
    return 1


def _flushed(status: int) -> int:
    """Return the status once all output is out, so that a closed pipe shows here, not at exit."""
    sys.stdout.flush()
    return status


def _silenced() -> int:
    """Send what is still to be printed nowhere: whoever read it has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
