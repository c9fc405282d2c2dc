"""What the command line loads before it knows what is asked of it."""

from __future__ import annotations

import subprocess
import sys


def test_command_line_loads_no_dataframes() -> None:
    command = [sys.executable, "-c", "import sys, serving.cli; print('pandas' in sys.modules)"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
