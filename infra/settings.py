"""
Everything that differs between two installations, in one place.

Values come from the environment (`HOSO_…`), then
from the file named by `HOSO_ENV_FILE` (default `var/stack/hoso.env`, written by `make up`). Secrets
are never values here: a setting that ends in `_file` names the file that holds one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict

from infra.environment import environment, settings_file


class Settings(BaseModel):
    """What an installation must say about itself; the defaults fit the embedded stack only."""

    model_config = ConfigDict(extra="forbid")

    #: Where run data lives (sockets, logs, manifests, demo results).
    var_dir: Path = Path("var")
    #: Logs as `text` for people, or one line of `json` for each for programs.
    log_format: Literal["text", "json"] = "text"
    #: Where the warm worker gives its figures to Prometheus, as `host:port`; empty: nowhere.
    metrics_listen: str = ""

    #: PostgreSQL, without passwords: `postgresql+psycopg://hoso_app@127.0.0.1:5432/hoso`.
    database_url: str = ""
    #: The password of that role.
    database_password_file: Path = Path("var/stack/secrets/hoso_app")
    #: The role that owns the tables; used by migrations only.
    database_owner_password_file: Path = Path("var/stack/secrets/hoso_owner")
    #: A role that may create roles; used by the first migration only.
    database_admin_url: str = ""
    database_admin_password_file: Path = Path("var/stack/secrets/postgres")

    #: Where PostgreSQL's programs are (`pg_basebackup` …), if not on the PATH; for backups only.
    postgres_bin: Path | None = None
    #: Where the receiver of the database's changes puts them; base copies lie beside.
    backup_dir: Path = Path("var/backup")

    #: The S3 server, as `host:port`.
    s3_endpoint: str = ""
    #: Whether the S3 server is spoken to over TLS.
    s3_secure: bool = False
    #: The application's credentials at the S3 server.
    s3_access_key: str = "hoso"
    s3_secret_key_file: Path = Path("var/stack/secrets/s3_hoso")
    #: The bucket of work documents, and the one with object lock.
    s3_work_bucket: str = "hoso-work"
    s3_archive_bucket: str = "hoso-archive"
    #: `host:port` of every door of the store that must refuse strangers, separated by commas.
    s3_stranger_doors: str = ""

    #: The PKCS#11 module and, for SoftHSM2, its configuration file.
    pkcs11_module: Path = Path("/usr/lib/softhsm/libsofthsm2.so")
    softhsm2_conf: Path | None = None
    #: Seconds that a token may take for one call before the process that asks it is ended and the token is
    #: left alone for a while; and the same for a call in which somebody types the PIN on the token's pad.
    token_seconds: float = 30.0
    pad_seconds: float = 120.0
    #: PIN of the agency's seal, on the machine that holds its token.
    seal_pin_file: Path | None = None
    #: Folder of PEM certificates that signatures are checked against.
    trust_anchors: Path = Path("var/stack/pki/anchors")

    #: Folder of PEM certificates that other agencies' results are checked against; empty: the same folder.
    foreign_anchors: Path | None = None

    #: What this installation asks of certificates (a YAML file); empty: the shipped policy.
    certificate_policy: Path | None = None

    #: The time-stamping authority (RFC 3161), and another that is asked when it fails; empty: none.
    tsa_url: str = ""
    tsa_second_url: str = ""
    #: Seconds that an authority may take for one time-stamp; the real one was seen to take 131 (PKI-02).
    tsa_seconds: float = 180.0
    #: The policy (OID) that time-stamps must name; empty: any.
    tsa_policy: str = ""

    #: Hosts that may be asked about revocation, separated by commas; certificates name no others with success.
    revocation_hosts: str = ""
    #: Where such a host is really reached: `name=host:port`, separated by commas (PKI-03).
    revocation_rewrite: str = ""
    #: What a certificate needs to be used: `require`, an answer always; `hard-fail`, one if it names where to ask.
    revocation_policy: Literal["require", "hard-fail"] = "require"
    #: Seconds that a responder may take, and bytes that its answer may have.
    revocation_seconds: float = 10.0
    revocation_limit_bytes: int = 20_000_000
    #: Seconds for which an answer is used again; this is how long a revocation may go unnoticed.
    revocation_kept_seconds: float = 60.0

    #: The last days on which algorithms are believed [M]; evidence that rests on them is renewed before.
    algorithm_ends: str = "sha256=2036-12-31,rsa-2048=2030-12-31,rsa-3072=2036-12-31,ecdsa-256=2036-12-31"
    #: Evidence is renewed when fewer than so many days are left of it.
    preservation_days: int = 90

    #: What this installation adds to the metadata of packages (a YAML file) [M]; empty: the shipped terms.
    archive_terms: Path | None = None
    #: How many years what is kept for ever is locked at a time; many stores take no more than a hundred.
    archive_lock_years: int = 99
    #: Such a lock is renewed when fewer than so many days are left of it.
    lock_renewal_days: int = 3650
    #: Everything in the archive is read again, and every old entry of the history, within so many days.
    fixity_days: int = 90

    #: The mail server that takes the office's e-mail.
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    #: Whether the mail server must be spoken to through STARTTLS; an office's own server should be.
    smtp_starttls: bool = False
    #: The office's mailbox as the mail server knows it, and the file of its password; empty: no login.
    smtp_user: str = ""
    smtp_password_file: Path | None = None
    #: A message larger than this many bytes is not sent by e-mail at all.
    mail_limit_bytes: int = 10_000_000

    #: The portal that takes results into citizens' accounts; empty: no portal.
    portal_url: str = ""
    portal_token_file: Path | None = None

    #: The axis over which agencies exchange documents; empty: this installation takes no part.
    axis_url: str = ""
    axis_token_file: Path | None = None
    #: Seconds between two looks for what waits on the axis.
    axis_look_seconds: float = 15.0
    #: The largest package that is taken from the axis, in bytes.
    axis_limit_bytes: int = 200_000_000
    #: Seconds to wait after the first, second, … try that failed; after five a person is asked (STA-05).
    axis_patience: str = "60,300,1200,3600"
    #: When an ordinary document is late: at this hour of the working day after its signing (EXC-04) [M].
    axis_next_morning: str = "12:00"
    #: When an urgent one is late: so many minutes after its signing (EXC-05) [M].
    axis_urgent_minutes: int = 30

    #: Hours that the newest base copy of the database may be old, and percent of a disk that must be free.
    backup_hours: float = 26.0
    disk_free_percent: float = 10.0

    #: The Prefect server's API, and the address of its page for people.
    prefect_api_url: str = ""
    prefect_ui_url: str = ""
    #: How a pool's worker starts a run, written into deployments by `hoso deploy`: with `… -m flows.pool_run`, `…` a
    #: Python of the worker's machine, a run is forked from the process that stands by there; empty: as Prefect does it.
    run_command: str = ""

    #: Where a citizen learns how to check a result; printed on documents and in e-mails.
    verify_url: str = "https://ca.gov.vn"

    #: The largest file taken at the counter, in bytes.
    upload_limit_bytes: int = 100_000_000
    #: Seconds that a worker may be silent before its dossier is given to another.
    lease_seconds: float = 30.0
    #: After how many workers running died at a dossier it waits for a person instead of the next worker.
    worker_deaths: int = 5

    #: Minutes between two slots of an office's batches, counted from each opening; and when its night begins.
    batch_minutes: int = 30
    batch_night: str = "21:30"
    #: Dossiers in one chunk of a batch, which is one run and one lease; and in one block, which is one task.
    batch_chunk: int = 500
    batch_block: int = 25
    #: Chunks of one batch that run at once; 0: as many as this machine has processors.
    batch_parallel: int = 0
    #: Blocks that may use one token at the same moment.
    batch_token_parallel: int = 4
    #: Seconds to wait before what keeps a batch from going on is tried again; after the last one it stops.
    batch_patience: str = "5,15,60"

    #: Hours of an office's own opening time before a promised time from which a dossier is nearly late.
    near_hours: float = 4.0
    #: The same after it, until the office's superior is told.
    escalate_hours: float = 4.0

    #: A new time is given at least so many working days before the promised one ends (DOS-17) [M]; 0: also after it.
    postpone_days_before: int = 0

    #: The last day that counts of a report's last month; 31: the month's end. Reports end on the 14th [M] (REP-08).
    report_cut_off: int = 14
    #: Of which periods reports are made by night [M]: `month`, `quarter`, `half-year`, `year`, separated by commas.
    report_kinds: str = "month,quarter,half-year,year"
    #: The office that makes and signs the reports on every office besides; empty: nobody does.
    report_office: str = ""
    #: Lives of this installation's own dossiers, which a release is tried on besides those that it brings.
    lives_file: Path | None = None

    #: What this history is called in its entries; it never changes once the first entry is written.
    history_log: str = "hoso"
    #: The history's own signing key (Ed25519, PKCS #8 PEM); it signs checkpoints and standing lists.
    history_key_file: Path = Path("var/stack/secrets/history_key")
    #: Who keeps a second copy of each checkpoint: a folder of another office, or `mailto:` and its mailbox.
    history_witness: str = ""
    #: Packages wait for a checkpoint that covers their entries; no more than one is made for them in so many seconds.
    checkpoint_seconds: float = 60.0
    #: Hours that entries may wait for a stamped checkpoint before signing stops; 0: it never does.
    history_stamp_hours: float = 24.0

    #: Hours until the next standing list is due, and years for which each one is locked [M].
    standing_list_hours: float = 26.0
    standing_list_years: int = 20

    #: The file of this desk's login; empty: one for each installation, below the user's state folder.
    session_file: Path | None = None
    #: Hours after which a login ends, and minutes without a command after which it ends.
    login_hours: float = 8.0
    login_idle_minutes: float = 30.0
    #: Wrong passwords in a row after which only an administrator lets the person log in again at that desk.
    login_failures: int = 10
    #: Wrong passwords of everybody within ten minutes, and of one person within a day, from which on nobody
    #: (or not this person) logs in at a desk where the person did not log in before; other desks go on.
    login_failures_together: int = 60
    login_failures_elsewhere: int = 30
    #: Hours that an enrolment code may be used.
    enrolment_hours: float = 24.0
    #: What a password costs to check: Argon2id's memory in KiB, passes and lanes (RFC 9106 §4, second choice).
    argon2_memory_kib: int = 65536
    argon2_passes: int = 3
    argon2_lanes: int = 4

    @classmethod
    def read(cls, file: Path | None, **given: Any) -> Settings:
        """
        Return the settings: what is given here, then the environment, then the file, then the defaults.

        A file that is not there says nothing. Raises `pydantic.ValidationError` when a value has the wrong form.
        """
        written = dotenv_values(file, interpolate=False) if file is not None else {}
        said = {**written, **environment()}
        known = {name: said[key] for name in cls.model_fields if (key := f"HOSO_{name.upper()}") in said}
        return cls(**{**known, **given})


@cache
def settings() -> Settings:
    """Return this process's settings, read once."""
    return Settings.read(settings_file())


def read_secret(path: Path) -> str:
    """Return the secret in a file, without its final newline; raises `FileNotFoundError`."""
    return path.read_text(encoding="utf-8").rstrip("\n")
