"""The schema of the database: brought to this release's revision, by whoever holds the administrator's password."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from infra.database import Database, connection_url, translated
from infra.errors import Unavailable
from infra.release import newest_revision
from infra.settings import Settings


def migrate(settings: Settings) -> bool:
    """
    Bring the schema to the newest revision; doing it again changes nothing.

    Returns whether the schema is this release's now; `False`: it is a later release's, which a release that
    comes back works with, and it is left as it is.
    Runs as the administrator, because the first revision makes the roles `hoso_owner` (owns every
    table) and `hoso_app` (what the application is), with the passwords from their secret files.
    """
    from alembic import command
    from alembic.config import Config

    if _revision(settings) > newest_revision():
        return False
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["settings"] = settings
    command.upgrade(config, "head")
    return True


def _revision(settings: Settings) -> str:
    """Return the schema's revision as the administrator sees it; empty before the first migration."""
    url = connection_url(settings.database_admin_url, settings.database_admin_password_file)
    engine = create_engine(url, poolclass=NullPool)
    try:
        with translated(), engine.connect() as connection:
            known = connection.execute(text("select to_regclass('alembic_version')")).scalar_one()
            if known is None:
                return ""
            return str(
                connection.execute(text("select max(version_num) from alembic_version")).scalar_one() or ""
            )
    finally:
        engine.dispose()


def holds_owner(settings: Settings) -> bool:
    """
    Whether this machine holds the password of the tables' owner, tried by connecting as `hoso_owner`.

    It opens no other door: the connection is closed at once. Raises `Unavailable` when nobody answers.
    """
    try:
        url = connection_url(settings.database_url, settings.database_owner_password_file)
    except OSError:
        return False
    owner = Database(url.set(username="hoso_owner"), pooled=False)
    try:
        owner.now()
    except Unavailable as error:
        if "authentication failed" in str(error):
            return False
        raise
    return True
