"""Migrations add and never take away: the release before must work on the schema of the next (roll-back)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.release import FOLDER, newest_revision

VERSIONS = sorted((FOLDER / "infra" / "migrations" / "versions").glob("[0-9]*.py"))

#: Operations that take something away from a program that knows the schema before; by Alembic, and as SQL.
TAKING = {"drop_column", "drop_table", "rename_table", "drop_constraint"}
TAKING_SQL = re.compile(
    r"\b(drop\s+(table|column|view|function)|rename\s+(to|column|constraint)|set\s+not\s+null|alter\s+column\s+\w+\s+(set\s+data\s+)?type"
    r"|revoke\b)",
    re.IGNORECASE,
)

#: Before the first version was given to anybody, with no release before it to come back.
BEFORE_THE_FIRST = "0018"


def upgrade_of(path: Path | str) -> ast.FunctionDef:
    """The function that a migration upgrades by."""
    text = path.read_text(encoding="utf-8") if isinstance(path, Path) else path
    body = ast.parse(text).body
    return next(one for one in body if isinstance(one, ast.FunctionDef) and one.name == "upgrade")


def taken_away(upgrade: ast.FunctionDef) -> Iterator[str]:
    """What an upgrade takes away from the release before it."""
    for call in (node for node in ast.walk(upgrade) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        words = {word.arg: word.value for word in call.keywords}
        if name in TAKING:
            yield name
        elif name == "alter_column" and words.keys() & {"new_column_name", "type_"}:
            yield "a column is renamed or of another type"
        elif name == "add_column" and "not null without a default" in _column(call):
            yield "a new column that the release before does not fill"
        elif name == "execute" and (found := TAKING_SQL.search(ast.unparse(call))):
            yield found[0]


def _column(call: ast.Call) -> str:
    for column in (one for one in ast.walk(call) if isinstance(one, ast.Call) and one is not call):
        words = {word.arg: word.value for word in column.keywords}
        nullable = words.get("nullable")
        if isinstance(nullable, ast.Constant) and nullable.value is False and "server_default" not in words:
            return "not null without a default"
    return ""


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_takes_nothing_away_that_the_release_before_needs(path: Path) -> None:
    if path.name[:4] > BEFORE_THE_FIRST:
        assert list(taken_away(upgrade_of(path))) == []


@pytest.mark.parametrize(
    "line",
    [
        "op.drop_column('dossier', 'stage')",
        "op.alter_column('dossier', 'stage', new_column_name='step')",
        "op.add_column('dossier', sa.Column('x', sa.String(), nullable=False))",
        "op.execute('alter table dossier drop column stage')",
        "op.execute('alter table dossier alter column stage set not null')",
        "op.execute('alter table dossier alter column stage type text')",
        "op.execute(f'revoke insert on {table} from hoso_app')",
    ],
)
def test_what_takes_something_away_is_found(line: str) -> None:
    assert list(taken_away(upgrade_of(f"def upgrade():\n    {line}\n")))


@pytest.mark.parametrize(
    "line",
    [
        "op.add_column('dossier', sa.Column('x', sa.String(), nullable=True))",
        "op.add_column('dossier', sa.Column('x', sa.String(), nullable=False, server_default=''))",
        "op.create_table('x', sa.Column('y', sa.String(), nullable=False))",
        "op.execute('alter table dossier add column x text')",
    ],
)
def test_what_only_adds_is_let_through(line: str) -> None:
    assert not list(taken_away(upgrade_of(f"def upgrade():\n    {line}\n")))


def test_migrations_are_numbered_without_a_gap_and_follow_each_other() -> None:
    assert [path.name[:4] for path in VERSIONS] == [f"{number:04d}" for number in range(1, len(VERSIONS) + 1)]
    assert newest_revision() == VERSIONS[-1].name[:4]
    for path in VERSIONS:
        text = path.read_text(encoding="utf-8")
        assert f'revision = "{path.name[:4]}"' in text
