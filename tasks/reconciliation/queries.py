"""What is compared with what, as questions to the database: each returns the gaps of one kind and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

# Nothing in these statements comes from outside.
# ruff: noqa: S608

#: Standings of originals whose result was issued.
_ISSUED = "o.standing in ('valid', 'withdrawn', 'replaced')"
_PAST = "d.stage in ('Signed', 'Returned', 'Archived')"
_FINAL = "(x.kind in ('sealed', 'lifted') and x.revision = o.revision or x.kind = 'result')"
_WELL = "('accepted', 'collected', 'confirmed')"

_ORIGINALS = """
    from original o join dossier d on d.code = o.dossier
    join procedure p on p.code = d.procedure and p.version = d.procedure_version
    left join register_entry r on r.dossier = o.dossier and r.ordinal = o.ordinal
    left join publication u on u.dossier = o.dossier and u.ordinal = o.ordinal
"""

#: The code of a finding → a query with the columns subject, ordinal and facts.
QUERIES: Mapping[str, str] = {
    "number-not-certified": f"""
        select o.dossier as subject, o.ordinal, json_build_object('number', r.number, 'state', r.state) as facts
        {_ORIGINALS} where {_ISSUED} and p.body->'register' <> 'null' and r.state = 'reserved'""",
    "number-missing": f"""
        select o.dossier as subject, o.ordinal, json_build_object('state', r.state) as facts
        {_ORIGINALS} where {_ISSUED} and p.body->'register' <> 'null' and coalesce(r.state, 'void') = 'void'""",
    "number-without-result": f"""
        select o.dossier as subject, o.ordinal, json_build_object('standing', o.standing) as facts
        {_ORIGINALS} where r.state = 'certified' and not {_ISSUED}""",
    "number-left-open": f"""
        select o.dossier as subject, o.ordinal, json_build_object('standing', o.standing) as facts
        {_ORIGINALS} where r.state = 'reserved' and o.standing in ('declined', 'dropped')""",
    "number-gap": """
        select b.office || '/' || b.year as subject, 0 as ordinal,
               json_build_object('last', b.last_number, 'lines', count(r.number)) as facts
        from register_book b left join register_entry r
             on r.office = b.office and r.year = b.year and r.symbol = b.symbol and r.number <= b.last_number
        group by b.office, b.year, b.symbol, b.last_number
        having count(r.number) <> b.last_number""",
    "signature-missing": f"""
        select o.dossier as subject, o.ordinal,
               json_build_object('needed', jsonb_array_length(f.facts->'officials') + 1, 'kept', count(s.id)) as facts
        from original o join dossier d on d.code = o.dossier
        join document f on f.dossier = o.dossier and f.ordinal = o.ordinal and f.kind = 'frozen'
             and f.revision = o.revision
        left join signature s on s.dossier = o.dossier and s.ordinal = o.ordinal and s.revision = o.revision
             and s.kept_at is not null
        where {_ISSUED} and {_PAST}
        group by o.dossier, o.ordinal, f.facts
        having count(s.id) < jsonb_array_length(f.facts->'officials') + 1""",
    "document-missing": f"""
        select o.dossier as subject, o.ordinal, '{{}}'::json as facts
        {_ORIGINALS} where {_ISSUED} and not exists (
            select from document x where x.dossier = o.dossier and x.ordinal = o.ordinal and {_FINAL})""",
    "not-validated": f"""
        select o.dossier as subject, o.ordinal, '{{}}'::json as facts
        {_ORIGINALS} where o.standing = 'sealed' and exists (
            select from document x where x.dossier = o.dossier and x.ordinal = o.ordinal and x.kind = 'sealed'
                   and x.made_at < clock_timestamp() - make_interval(hours => :hours))""",
    "not-returned": f"""
        select d.code as subject, 0 as ordinal, '{{}}'::json as facts from dossier d
        where d.stage = 'Signed' and exists (select from delivery_leg l where l.dossier = d.code and l.state in {_WELL})
          and not exists (select from delivery_leg l where l.dossier = d.code and
               (l.ended_at is null or l.ended_at > clock_timestamp() - make_interval(hours => :hours)))""",
    "returned-to-nobody": f"""
        select d.code as subject, 0 as ordinal, '{{}}'::json as facts from dossier d
        where d.stage in ('Returned', 'Archived')
          and exists (select from original o where o.dossier = d.code and o.standing = 'valid')
          and not exists (select from delivery_leg l where l.dossier = d.code
               and (l.state in {_WELL} or l.ended_at is null))
          and not exists (select from sent_copy c where c.dossier = d.code and c.outcome <> 'in doubt')""",
    "not-archived": """
        select d.code as subject, 0 as ordinal, '{}'::json as facts from dossier d
        where d.stage = 'Returned' and not exists (select from delivery_leg l where l.dossier = d.code
              and l.ended_at > clock_timestamp() - make_interval(hours => :archive_hours))""",
    "archived-without-package": """
        select d.code as subject, 0 as ordinal, '{}'::json as facts from dossier d
        where d.stage = 'Archived' and not exists (select from archived_object a where a.dossier = d.code
              and a.key like '%/inventory.json')""",
    "not-published": f"""
        select o.dossier as subject, o.ordinal, '{{}}'::json as facts {_ORIGINALS}
        where o.standing = 'valid' and d.stage in ('Returned', 'Archived') and not d.confidential
          and p.body->>'publication' <> 'never' and u.dossier is null""",
    "published-wrongly": f"""
        select o.dossier as subject, o.ordinal, '{{}}'::json as facts {_ORIGINALS}
        where u.dossier is not null and (d.confidential or p.body->>'publication' = 'never')""",
    "publication-differs": f"""
        select o.dossier as subject, o.ordinal,
               json_build_object('published', u.standing, 'stands', o.standing) as facts {_ORIGINALS}
        where u.dossier is not null and (u.standing <> o.standing or not exists (
            select from document x where x.dossier = o.dossier and x.ordinal = o.ordinal and x.sha256 = u.sha256
                   and {_FINAL}))""",
    "standing-not-listed": """
        select c.dossier as subject, c.ordinal, json_build_object('standing', c.standing) as facts
        from standing_change c where c.at < clock_timestamp() - make_interval(hours => :hours)
          and (select count(*) from standing_change) >
              coalesce((select changes from standing_list order by issued_at desc limit 1), 0)
          and c.at > coalesce((select max(issued_at) from standing_list), '-infinity')""",
    "correction-not-settled": """
        select c.new_dossier as subject, 1 as ordinal, json_build_object('of', c.dossier) as facts
        from correction c join original o on o.dossier = c.new_dossier and o.ordinal = 1
        where c.state = 'approved' and o.standing = 'valid'
          and exists (select from document x where x.dossier = o.dossier and x.kind in ('sealed', 'result')
              and x.made_at < clock_timestamp() - make_interval(hours => :hours))""",
}

#: Of each dossier, where its history says that it stands, and how often what happened.
TOLD = """
    with told as (
        select subject, position, convert_from(entry, 'UTF8')::jsonb as said from history_entry
        where subject in (select sha256(convert_to(code, 'UTF8')) from dossier where code between :first and :last)
    ), counted as (
        select subject, said->>'event' as event, count(*) as times from told group by 1, 2
    ), stood as (
        select distinct on (subject) subject, said->>'to' as stage from told
        where said ? 'to' order by subject, position desc
    )
    select d.code, d.stage, (select stage from stood s where s.subject = sha256(convert_to(d.code, 'UTF8'))) as told,
           (select json_object_agg(event, times) from counted c
            where c.subject = sha256(convert_to(d.code, 'UTF8'))) as events
    from dossier d where d.code between :first and :last order by d.code
"""

#: Of each dossier, how often something is there that the history tells of: event → rows.
THERE = """
    select d.code,
        (select count(*) from register_entry r where r.dossier = d.code) as "number:reserved",
        (select count(*) from signature s where s.dossier = d.code and s.kept_at is not null) as "signature:done",
        (select count(*) from standing_change c where c.dossier = d.code and c.standing = 'withdrawn')
            as "result:withdrawn",
        (select count(*) from standing_change c where c.dossier = d.code and c.standing = 'replaced')
            as "result:replaced",
        case when d.stage in ('Returned', 'Archived') then 1 else 0 end as "result:returned",
        case when d.stage = 'Archived' then 1 else 0 end as "dossier:archived"
    from dossier d where d.code between :first and :last order by d.code
"""
