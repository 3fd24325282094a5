"""Being installed costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys


def test_commands_and_a_board_with_the_plugin_import_no_mlflow() -> None:
    program = (
        "import sys; from pegboard.catalog import Catalog; from pegboard.manager import load_plugins\n"
        "catalog = Catalog(load_plugins(environ={'PEGBOARD_LOAD_PLUGINS': 'mlflow'}))\n"
        "assert catalog.resolver('models:/a@b').name == 'mlflow'\n"
        "print(sorted({'mlflow', 'pandas', 'numpy', 'requests'} & set(sys.modules)))"
    )
    environ = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout == "[]\n"
