"""The one tree of errors, in the domain's words; no HTTP status, no library type."""

from datetime import date, datetime
from typing import NamedTuple


class GateError(Exception):
    """Anything the gate foresaw. `str()` of it is fit to be shown: it never holds a secret or a whole NIK."""


class FieldError(NamedTuple):  # one wrong field: its JSON pointer (RFC 6901; "" is the whole document) and what to do
    pointer: str
    detail: str


class BadInput(GateError):  # the question itself is wrong; every wrong field is named
    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.pointer or '/'}: {e.detail}" for e in errors))
        self.errors = errors


class BadIdentifier(GateError):  # a number is not of its kind: `rule` says what it must be, `example` shows one
    def __init__(self, kind: str, rule: str, example: str) -> None:
        super().__init__(f"{kind}: {rule}, e.g. {example}")
        self.rule, self.example = rule, example


class BadPolicy(GateError):  # dated law that must not be loaded: where (file and line or path), which rule it breaks
    def __init__(self, where: str, rule: str) -> None:
        super().__init__(f"{where}: {rule}")
        self.where, self.rule = where, rule


class LawNotInForce(GateError):  # a day on which this law had not begun; never treated as "nothing is owed"
    def __init__(self, what: str, day: date, first_day: date) -> None:
        super().__init__(f"{what} begins on {first_day.isoformat()}; nothing can be decided for {day.isoformat()}")
        self.first_day = first_day


class NoCalendar(GateError):
    """A year without a table of holidays. Never treated as a year without holidays."""


class UnknownRegion(GateError):  # a region that this deployment has no policy for
    def __init__(self, region: str, known: tuple[str, ...]) -> None:
        super().__init__(f"region {region} is not served here (served: {', '.join(known)})")
        self.known = known


class ForeignRegion(GateError):
    """A region that is served here, but not to this caller."""


class RegistryError(GateError):
    """The agency gave no usable answer. Never a refusal. What is said is a short phrase without query or secret."""


class RegistryUnavailable(RegistryError):  # none came (429, 5xx, TLS, refused, reset, time-out, cut): it may come yet
    def __init__(self, detail: str, retry_at: datetime | None = None) -> None:
        super().__init__(detail)
        self.retry_at = retry_at


class RegistryMisunderstood(RegistryError):
    """An answer came that the gate does not understand; asking again does not help."""


class ImportRefused(GateError):
    """A file that must not be taken; nothing of it was stored."""


class LogUnavailable(GateError):
    """The entry could not be made durable: there is no verdict."""


class LogBroken(GateError):  # the log contradicts itself or a head known outside; `position`: the first bad entry
    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class Misconfigured(GateError):
    """The service must not start like this; the text is the one line the operator reads."""


class AskedInProgress(GateError):
    """The same once-only key is being worked on right now."""


class AskedOtherwise(GateError):
    """The once-only key already belongs to another request body."""


class TooMuch(GateError):
    """More than is taken at once; nothing of it was."""


class NotAllowed(GateError):
    """What this person may not do, not alone, or what nobody can do any more."""
