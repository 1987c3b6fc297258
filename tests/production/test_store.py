"""A MinIO that was made ready by the program: the application's user can do its work there and nothing else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.error import S3Error
from minio.retention import Retention

from infra.deploy.store import settle
from infra.settings import Settings
from infra.stack.layout import PROJECT
from infra.stack.minio_from_source import VERSION, running

PROGRAM = PROJECT / "var" / "tools" / f"minio-{VERSION}" / "minio"
PASSWORD = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Minio, Minio, Settings]]:
    """The store's administrator, the application's user, and the settings that lead there."""
    if not PROGRAM.exists():
        pytest.skip("not run: MinIO is not built here; “make test-minio” builds it")
    folder = tmp_path_factory.mktemp("minio")
    with running(PROGRAM, folder) as said:
        root, secret = (
            said["HOSO_S3_ACCESS_KEY"],
            Path(said["HOSO_S3_SECRET_KEY_FILE"]).read_text(encoding="utf-8"),
        )
        (folder / "s3_hoso").write_text(PASSWORD + "\n", encoding="utf-8")
        chosen = Settings.read(
            None, s3_endpoint=said["HOSO_S3_ENDPOINT"], s3_secure=False, s3_access_key="hoso-application",
            s3_secret_key_file=folder / "s3_hoso", s3_work_bucket="work-2", s3_archive_bucket="archive-2",
        )  # fmt: skip
        settle(chosen, root=root, password=secret)
        settle(chosen, root=root, password=secret)
        clients = [
            Minio(chosen.s3_endpoint, *who, secure=False, region="us-east-1")
            for who in ((root, secret), ("hoso-application", PASSWORD))
        ]
        yield clients[0], clients[1], chosen


def put(client: Minio, bucket: str) -> str:
    """Write an object and return its version."""
    version = client.put_object(bucket, "a", io.BytesIO(b"x"), 1).version_id
    assert version, f"{bucket} keeps no versions"
    return version


def test_the_application_reads_writes_lists_and_locks(settled: tuple[Minio, Minio, Settings]) -> None:
    _, application, chosen = settled
    put(application, chosen.s3_work_bucket)
    version = put(application, chosen.s3_archive_bucket)
    until = datetime.now(UTC) + timedelta(days=1)
    application.set_object_retention(
        chosen.s3_archive_bucket, "a", Retention(COMPLIANCE, until), version_id=version
    )
    assert [one.object_name for one in application.list_objects(chosen.s3_archive_bucket)] == ["a"]
    with pytest.raises(S3Error):
        application.remove_object(chosen.s3_archive_bucket, "a", version_id=version)


def test_the_application_reaches_no_other_bucket_and_no_buckets_settings(
    settled: tuple[Minio, Minio, Settings],
) -> None:
    root, application, chosen = settled
    root.make_bucket("elsewhere")
    put_elsewhere = root.put_object("elsewhere", "a", io.BytesIO(b"x"), 1)
    assert put_elsewhere.object_name == "a"
    for refused in (
        lambda: application.get_object("elsewhere", "a"),
        lambda: application.put_object("elsewhere", "b", io.BytesIO(b"x"), 1),
        lambda: application.make_bucket("mine"),
        lambda: application.remove_bucket(chosen.s3_work_bucket),
        lambda: application.delete_bucket_policy(chosen.s3_work_bucket),
        lambda: application.delete_object_lock_config(chosen.s3_archive_bucket),
    ):
        with pytest.raises(S3Error, match=r"(?i)access ?denied"):
            refused()
