from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path.relative_to(ROOT) for path in (ROOT / "protos").rglob("*.proto"))
BIN = Path(sys.executable).parent


def generated_under(folder: Path) -> dict[str, str]:
    """Return the text of every generated module, by its path below the folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in (folder / "protos").rglob("*_pb2*.py*")
        if path.suffix in {".py", ".pyi"}
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Compile the schema afresh, as `make protos` does."""
    folder = tmp_path_factory.mktemp("compiled")
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc", "-I."),
        f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={BIN / 'protoc-gen-mypy_grpc'}",
        f"--python_out={folder}",
        f"--grpc_python_out={folder}",
        f"--mypy_out=quiet:{folder}",
        f"--mypy_grpc_out=quiet,only_async:{folder}",
        *map(str, SOURCES),
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    return generated_under(folder)


def test_every_source_has_its_four_modules(compiled: dict[str, str]) -> None:
    assert len(compiled) == 4 * len(SOURCES) > 0


def test_committed_modules_are_those_the_schema_compiles_to(compiled: dict[str, str]) -> None:
    assert generated_under(ROOT) == compiled, "run `make protos`"


def test_schema_breaks_nothing_that_was_released() -> None:
    done = subprocess.run(
        [BIN / "buf", "breaking", "--against", "protos/image.binpb"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
