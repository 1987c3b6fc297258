"""
The proof that a measured batch did all that it should: every effect is counted, and spoilt documents were refused.

A check that was switched off would make a batch faster; here it makes the result worthless, and it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from infra.errors import Broken
from infra.services import services
from tasks.dossier.papers import content_key, sha256_of

#: From so many dossiers on some are spoilt on purpose.
_ENOUGH = 10

#: What every sound dossier must have exactly once, by what it says was done.
_EFFECTS = {
    "number in the register": "register_entry where state = 'certified'",
    "official's signature": "signature where role = 'official' and kept_at is not null and ordinal > 0",
    "agency's seal": "signature where role = 'agency' and kept_at is not null and ordinal > 0",
    "validated document": "original where standing = 'valid'",
    "accepted return": "delivery_leg where state = 'accepted'",
    "archived inventory": "archived_object where key like '%/inventory.json' and key !~ '/v[0-9]+/[^/]*$'",
}


def spoil(codes: Sequence[str], *, signed: bool = False) -> set[str]:
    """
    Spoil a document as a fault or a forger would, and return whose; it must be refused by what comes next.

    Before the official's signature: bytes in the store that are not the reviewed ones. After it: a signature that
    does not hold, under the right hash.
    """
    if len(codes) < _ENOUGH:
        return set()
    code, kind = (codes[3], "approved") if signed else (codes[2], "frozen")
    work = services().work
    with services().database.transaction() as session:
        find = text("select id, key from document where dossier = :c and kind = :k")
        row = session.connection().execute(find, {"c": code, "k": kind}).one()
        content = bytearray(work.get(row.key))
        if signed:
            begin = content.rindex(b"/Contents <") + len(b"/Contents <")
            # At level B the signature's value is what a CMS object ends with; behind it there is only padding.
            place = begin + len(content[begin : content.index(b">", begin)].rstrip(b"0")) - 100
            content[place] = ord("0") if content[place] != ord("0") else ord("1")
        else:
            content += b"\n"
        sha256 = sha256_of(bytes(content))
        work.put(content_key(sha256), bytes(content), content_type="application/pdf")
        change = "key = :key, sha256 = :sha256" if signed else "key = :key"
        values = {"key": content_key(sha256), "id": row.id} | ({"sha256": sha256} if signed else {})
        session.connection().execute(text(f"update document set {change} where id = :id"), values)  # noqa: S608
    return {code}


def prove(codes: Sequence[str], spoilt: set[str]) -> None:
    """Refuse a result that is not whole: raises `Broken` naming the first effect that is missing, or one too many."""
    sound = [code for code in codes if code not in spoilt]
    with services().database.transaction() as session:
        for what, rows in _EFFECTS.items():
            query = f"select dossier, count(*) as n from {rows} and dossier = any(:c) group by dossier"  # noqa: S608
            found = {
                row.dossier: row.n for row in session.connection().execute(text(query), {"c": list(codes)})
            }
            wrong = [code for code in sound if found.get(code) != 1]
            if wrong:
                raise Broken(f"the result is refused: {what} of {wrong[0]}: {found.get(wrong[0], 0)}, not 1")
        shown = text(
            "select code from dossier where code = any(:c) and coalesce(shown, '') not like 'COMPLETED|Archived|%'"
        )
        unseen = session.connection().execute(shown, {"c": sound}).scalars().all()
        passed = text(
            "select code from dossier where code = any(:codes) and stage in ('Returned', 'Archived')"
        )
        through = session.connection().execute(passed, {"codes": sorted(spoilt)}).scalars().all()
    if unseen:
        raise Broken(f"the result is refused: Prefect does not show the end of {unseen[0]}")
    if through:
        raise Broken(f"the result is refused: {through[0]} was spoilt on purpose and got through")
    _read_back(sound)


def _read_back(codes: Sequence[str]) -> None:
    """Refuse what the archive does not hold as it was kept, locked: the finished document of every dossier."""
    with services().database.transaction() as session:
        query = text("""
            select a.dossier, a.key from document d join archived_object a on a.dossier = d.dossier
                   and a.sha256 = d.sha256 and a.retain_until > now() + interval '1 day'
            where d.kind in ('sealed', 'lifted') and a.mode = 'COMPLIANCE' and d.dossier = any(:codes)
        """)
        found = {row.dossier for row in session.connection().execute(query, {"codes": list(codes)})}
    missing = [code for code in codes if code not in found]
    if missing:
        raise Broken(f"the result is refused: the finished document of {missing[0]} is not in the archive")
