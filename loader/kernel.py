"""The Python that runs notebooks: this very interpreter, wired to one warehouse, knowing no secret.

A kernel of the same name that a user installed elsewhere is never taken by mistake.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from loader.settings import Settings, names_lake

NAME = "python3"


class OwnKernelSpecs(KernelSpecManager):
    """Knows one kernel: the interpreter and packages that this process itself runs on."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return that kernel, whatever name a notebook asks for."""
        return KernelSpec(
            argv=make_ipkernel_cmd(executable=sys.executable),
            display_name="Python 3 (inboxroad-loader)",
            language="python",
            name=NAME,
            resource_dir=str(Path(sys.prefix) / "share" / "jupyter" / "kernels" / NAME),
        )

    def find_kernel_specs(self) -> dict[str, str]:
        """Return the one kernel's name and resource directory."""
        return {NAME: self.get_kernel_spec(NAME).resource_dir}


def kernel_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a kernel finds the warehouse, and none of the secrets.

    Paths are made absolute, because a notebook's working directory is its own.
    """
    inherited = {name: value for name, value in environ.items() if not name.startswith("LOADER_")}
    return {
        **inherited,
        "LOADER_HOME": str(settings.home.resolve()),
        "LOADER_WAREHOUSE": _absolute(settings.warehouse),
        "LOADER_LAKE_DATA": _absolute(settings.lake_data) if settings.lake_data else "",
        "LOADER_TIMEZONE": settings.timezone,
        "LOADER_CONFIG": os.devnull,
        # Else the debugger in every kernel warns on stderr of Python's own frozen modules.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _absolute(place: str) -> str:
    is_path = "://" not in place and not names_lake(place)
    return str(Path(place).resolve()) if is_path else place
