"""How this program reaches its Prefect server: the address and quiet come from our settings, not from a profile."""

from __future__ import annotations

import logging

from infra.environment import export
from infra.services import services
from infra.settings import Settings

#: Seconds between two signs of life of a run; the smallest that Prefect takes.
HEARTBEAT = "30"


def prepare(chosen: Settings | None = None) -> None:
    """
    Point Prefect's client at our server; call it before Prefect is imported.

    Prefect reads its settings from the environment when it is imported, so this is the one place where
    we write there. Runs' logs stay on the machine: what a library prints is not for everybody's eyes.
    """
    chosen = chosen or services().settings
    export("PREFECT_API_URL", chosen.prefect_api_url)
    export("PREFECT_HOME", str((chosen.var_dir / "prefect-client").absolute()))
    export("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", HEARTBEAT)
    # A server that is away is told so at once: the work goes on without it and is shown later.
    export("PREFECT_CLIENT_MAX_RETRIES", "0")
    export("PREFECT_API_REQUEST_TIMEOUT", "10")
    export("PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED", "false")
    export("PREFECT_LOGGING_TO_API_ENABLED", "false")
    export("PREFECT_LOGGING_LEVEL", "WARNING")
    export("PREFECT_CLI_COLORS", "false")
    export("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    export("DO_NOT_TRACK", "1")


def silence_waiting() -> None:
    """Drop the engine's line “Finished in state …(type=PAUSED)”, which it logs as an error."""
    logging.getLogger("prefect.flow_runs").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line says anything else than that a run waits now."""
    return "type=PAUSED" not in record.getMessage()
