"""
Make in a MinIO what hoso needs there: two buckets, and a user who may use them and nothing else.

`python -m infra.deploy.store`, with the settings of the application (`HOSO_S3_…`) and, in the environment,
`STORE_ROOT_USER` and `STORE_ROOT_PASSWORD_FILE`: the store's own administrator, whom the application never is. It may
be run again at any time: what is there is left, and the user gets the policy and the password that the files say.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from minio import Minio
from minio.commonconfig import ENABLED
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin
from minio.versioningconfig import VersioningConfig

from infra.environment import environment
from infra.errors import Broken, Forbidden
from infra.settings import Settings, read_secret, settings

#: What the store calls the policy of the application's user.
POLICY = "hoso"


def policy(work: str, archive: str) -> dict[str, Any]:
    """
    Return what the application may do (AWS IAM's form): use both buckets, lock in one, and change neither's settings.

    It may delete versions, because destruction needs it; a lock that has not ended is stronger. It may not bypass a
    lock (`s3:BypassGovernanceRetention`), nor read or write any other bucket.
    """
    buckets = [f"arn:aws:s3:::{work}", f"arn:aws:s3:::{archive}"]
    look = (
        "GetBucketLocation GetBucketObjectLockConfiguration GetBucketVersioning ListBucket ListBucketVersions"
    )
    use = "GetObject GetObjectVersion PutObject DeleteObject DeleteObjectVersion AbortMultipartUpload"
    lock = "GetObjectRetention PutObjectRetention GetObjectLegalHold PutObjectLegalHold"

    def allow(what: str, where: list[str]) -> dict[str, Any]:
        """Return one statement."""
        return {"Effect": "Allow", "Action": [f"s3:{one}" for one in what.split()], "Resource": where}

    content = [f"{bucket}/*" for bucket in buckets]
    statements = [allow(look, buckets), allow(use, content), allow(lock, content[1:])]
    return {"Version": "2012-10-17", "Statement": statements}


def settle(chosen: Settings, *, root: str, password: str) -> None:
    """
    Make buckets, policy and user at the store that the settings name; raises `Broken` when a bucket cannot be locked.

    Object lock can only be switched on when a bucket is made, so one that was made without it is not mended here.
    """
    made = Minio(chosen.s3_endpoint, root, password, secure=chosen.s3_secure, region="us-east-1")
    for bucket, locked in ((chosen.s3_work_bucket, False), (chosen.s3_archive_bucket, True)):
        if not made.bucket_exists(bucket):
            made.make_bucket(bucket, object_lock=locked)
        if not locked:
            made.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        if made.get_bucket_versioning(bucket).status != ENABLED:
            raise Broken(
                f"the store keeps no versions in {bucket}, which was made before without object lock"
            )
    admin = MinioAdmin(
        endpoint=chosen.s3_endpoint, credentials=StaticProvider(root, password), secure=chosen.s3_secure
    )
    admin.policy_add(POLICY, policy=policy(chosen.s3_work_bucket, chosen.s3_archive_bucket))
    admin.user_add(chosen.s3_access_key, read_secret(chosen.s3_secret_key_file))
    admin.policy_set(POLICY, user=chosen.s3_access_key)


def main() -> int:
    """Settle the store that the environment describes."""
    said = environment()
    try:
        root, file = said["STORE_ROOT_USER"], said["STORE_ROOT_PASSWORD_FILE"]
    except KeyError as missing:
        raise Forbidden(
            f"the setting {missing} is not there.",
            rule="OPS-STORE",
            way_out="Name the store's own administrator.",
        ) from missing
    settle(settings(), root=root, password=read_secret(Path(file)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
