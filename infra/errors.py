"""
Errors are decisions: whoever catches one knows what to do next without reading it.

Adapters translate their library's exceptions into these three at the border, with
`raise … from`. A `minio.S3Error` or a `pkcs11` exception seen outside its adapter is a bug.
"""

from __future__ import annotations


class HosoError(Exception):
    """Anything that goes wrong while the office works."""

    #: Whether the same call may succeed later without anybody doing anything.
    worth_retrying: bool = False


class Unavailable(HosoError):
    """A service did not answer in time, or said that it cannot now: time cures it, so try again."""

    worth_retrying = True


class Forbidden(HosoError):
    """
    A rule says no, and a person decides; trying again cannot help.

    The message is one sentence for the person at the counter. `rule` is the id of the rule that
    refused (quoted in the code that applies it), `way_out` the sentence that says what may be done.
    """

    def __init__(self, message: str, *, rule: str, way_out: str) -> None:
        self.message = message
        self.rule = rule
        self.way_out = way_out
        super().__init__(f"{message} [{rule}] {way_out}")

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes with all three parts."""
        return (_forbidden, (type(self), self.message, self.rule, self.way_out))


def _forbidden(kind: type[Forbidden], message: str, rule: str, way_out: str) -> Forbidden:
    """Rebuild a refusal that came from another process."""
    return kind(message, rule=rule, way_out=way_out)


class Broken(HosoError):
    """A bug or damage: stop and tell an engineer; nobody may continue as if nothing happened."""
