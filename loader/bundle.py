"""The one script that draws every chart of a page: Vega, Vega-Lite and their embedding, as text.

Making it takes seconds of a processor, so a report has a process of its own do it meanwhile.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import vl_convert

_GLOBALS = "window.vegaEmbed = vegaEmbed; window.vega = vega; window.vegaLite = vegaLite;"


@cache
def script() -> str:
    """Make the script, once a process; nothing in it can end the element that it stands in."""
    made = vl_convert.javascript_bundle(_GLOBALS)
    # Only these could end the script or hide its end; escaped they mean the same to JavaScript.
    return re.sub(r"<(?=/script|!--|script)", r"\\x3c", str(made), flags=re.IGNORECASE)


@contextmanager
def made_ahead() -> Iterator[Callable[[], str]]:
    """Begin to make the script in another process; what is yielded waits for it and returns it."""
    with subprocess.Popen(
        [sys.executable, "-m", "loader.bundle"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[1],
        encoding="utf-8",
    ) as making:
        try:
            yield cache(lambda: making.communicate()[0] or script())
        finally:
            making.kill()


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(script())
