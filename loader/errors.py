"""The error tree: every failure a user can act on is a ``LoaderError`` of one sentence."""


class LoaderError(Exception):
    """Something was seen that stops the command; ``str(error)`` is one sentence for the user.

    The sentence says what was seen, what was wanted and what to do. It never holds a secret,
    an address or a header value.
    """


class WrongUsage(LoaderError):
    """What a command was asked for cannot be meant; its exit code is 2."""


class SettingsError(LoaderError):
    """A setting is missing or cannot be used."""


class SpoolError(LoaderError):
    """The spool cannot be written or read."""


class WarehouseError(LoaderError):
    """The warehouse cannot be opened, loaded or published."""


class LacksMemory(WarehouseError):
    """DuckDB needs more memory than it was given for what is loaded, refreshed or written."""


class WarehouseBusy(WarehouseError):
    """Another process is loading this warehouse; the sentence names it."""


class ReportError(LoaderError):
    """A report cannot be made."""
