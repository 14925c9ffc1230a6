"""Where the files that travel with the package are: ``sql/``, ``notebooks/`` and the sample."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def asset(name: str) -> Path:
    """Return the directory of ``sql``, ``notebooks`` or ``sample``, in a wheel or in a checkout."""
    carried = _PACKAGE / "assets" / name
    if carried.is_dir():
        return carried
    checkout = _PACKAGE.parent
    return checkout / "data" / "sample" if name == "sample" else checkout / name
