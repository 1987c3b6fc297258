"""Runs the migrations, as the administrator who may make roles; reached through `infra.schema.migrate`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import tasks.appointment.tables
import tasks.archival.destruction_tables
import tasks.archival.fixity_tables
import tasks.archival.tables
import tasks.authority.tables
import tasks.batches.tables
import tasks.certificates.tables
import tasks.certification.tables
import tasks.delivery.tables
import tasks.dossier.holds
import tasks.dossier.maintenance
import tasks.dossier.register
import tasks.dossier.routes
import tasks.dossier.tables
import tasks.erasure.tables
import tasks.evidence.tables
import tasks.exchange.tables
import tasks.health.tables
import tasks.issued.tables
import tasks.lives.tables
import tasks.locking.tables
import tasks.people.tables
import tasks.reconciliation.tables
import tasks.registration.tables
import tasks.releases.tables
import tasks.reporting.tables
import tasks.signing.tables
import tasks.supervision.tables  # noqa: F401  the metadata is complete once all tables are imported
from infra.database import connection_url
from infra.settings import Settings
from tasks.people.desk_roles import raise_walls

chosen: Settings = context.config.attributes["settings"]
url = connection_url(chosen.database_admin_url, chosen.database_admin_password_file)
engine = create_engine(url, poolclass=NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        # Two that migrate at once: the second waits, then finds nothing left to do.
        connection.exec_driver_sql("select pg_advisory_xact_lock(4849)")
        context.run_migrations()
# After all of them, so that a table that the last one brings is walled too.
with engine.begin() as connection:
    connection.exec_driver_sql("select pg_advisory_xact_lock(4849)")
    connection.exec_driver_sql("set local role hoso_owner")
    raise_walls(connection)
engine.dispose()
