"""
SeaweedFS: an S3 server with object lock, with every door but S3 shut.

Left to itself it opens nine ports, and the inner ones let anybody delete objects that S3 calls locked. So
every inner door, HTTP and gRPC, asks for a client certificate of a throw-away authority (mutual TLS), the
volume server asks for a ticket besides (JWT), and the file server's HTTP, Iceberg, Lance, IAM, metrics and
debugging are off. The port of each door is given, because one that is not would be opened elsewhere.
"""

from __future__ import annotations

import io
import ipaddress
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import urllib3
import urllib3.exceptions
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from minio import Minio
from minio.commonconfig import ENABLED
from minio.error import MinioException
from minio.versioningconfig import VersioningConfig

from infra.errors import Broken
from infra.settings import read_secret
from infra.stack.certificates import Authority, certify, write_certificate, write_key
from infra.stack.layout import Place, write_private
from infra.stack.parts import LOOPBACK, Part, answers, program
from infra.stack.process import Command

WORK_BUCKET = "hoso-work"
ARCHIVE_BUCKET = "hoso-archive"

#: The region that is signed into every request; SeaweedFS has only one.
REGION = "us-east-1"

#: What the application may do in its two buckets, in SeaweedFS's words. Not among them: bypassing a
#: lock, changing a bucket's lock, making and removing buckets. A hold only adds to a lock in COMPLIANCE mode.
_RIGHTS = (
    "Read",
    "Write",
    "List",
    "Tagging",
    "GetObjectRetention",
    "PutObjectRetention",
    "GetObjectLegalHold",
    "PutObjectLegalHold",
    "GetBucketObjectLockConfiguration",
)

#: The components that speak gRPC to each other; `weed scaffold -config=security` names them.
_COMPONENTS = (
    "volume",
    "master",
    "filer",
    "s3",
    "msg_broker",
    "msg_agent",
    "admin",
    "worker",
    "mq",
)

#: How long the certificates of the inner doors are good; a stack is made anew more often.
_CERTIFICATE_DAYS = 3650

#: One file a bucket is enough for a stack; the default makes seven at once.
_GROWTH = "[master.volume_growth]\ncopy_1 = 1\ncopy_2 = 1\ncopy_3 = 1\ncopy_other = 1\n"


class Store(Part):
    """The object store, with one bucket for work and one whose objects can be locked."""

    name = "store"
    ports = (
        "s3",
        "s3-grpc",
        "store-master",
        "store-master-grpc",
        "store-volume",
        "store-volume-grpc",
        "store-filer",
        "store-filer-grpc",
    )

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to the S3 port with the application's key, and name every door that must refuse strangers."""
        doors = (place.port(name) for name in self.ports if name != "s3")
        return bucket_settings(place, "s3") | {
            "HOSO_S3_STRANGER_DOORS": ",".join(f"{LOOPBACK}:{door}" for door in doors)
        }

    def prepare(self, place: Place) -> None:
        """Make the throw-away authority once; write who may enter and how at every start."""
        folder = place.folder("store")
        for name in ("data", "tmp"):
            place.folder("store", name)
        if not (folder / "key.pem").exists():
            _make_certificates(folder)
        write_private(folder / "security.toml", _security(place))
        write_private(folder / "master.toml", _GROWTH)
        write_private(folder / "s3.json", json.dumps(_identities(place), indent=1))
        self.tidy(place)

    def command(self, place: Place) -> Command:
        """Run all roles in one process, in the folder where it finds its certificates."""
        folder = place.folder("store")
        return Command(
            argv=(program("weed"), "-logtostderr=true", "server", *_options(place)),
            environment={"TMPDIR": str(folder / "tmp"), "HOME": str(folder)},
            folder=folder,
        )

    def ready(self, place: Place) -> bool:
        """Tell whether the provisioner can write and read an object, which needs every role."""
        return answers(place.port("s3")) and can_store(provisioner(place, "s3"))

    def settle(self, place: Place) -> None:
        """Make the two buckets."""
        make_buckets(provisioner(place, "s3"))

    def tidy(self, place: Place) -> None:
        """Remove the sockets of its gRPC ports, whose place SeaweedFS does not let anybody choose."""
        for name in ("s3", "store-master", "store-volume", "store-filer"):
            role = name.removeprefix("store-")
            socket = Path("/tmp") / f"seaweedfs-{role}-grpc-{place.port(name + '-grpc')}.sock"  # noqa: S108
            socket.unlink(missing_ok=True)


def _options(place: Place) -> tuple[str, ...]:
    """Return the options of `weed server`, each port said aloud."""
    port = place.port
    return (
        "-dir=data",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        "-disableHttp",
        f"-master.port={port('store-master')}",
        f"-master.port.grpc={port('store-master-grpc')}",
        "-master.telemetry=false",
        # One master elects itself; ten seconds of waiting for others would be for nothing.
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=1024",
        f"-volume.port={port('store-volume')}",
        f"-volume.port.grpc={port('store-volume-grpc')}",
        "-volume.max=200",
        "-volume.preStopSeconds=1",
        "-filer",
        f"-filer.port={port('store-filer')}",
        f"-filer.port.grpc={port('store-filer-grpc')}",
        "-filer.disableHttp",
        "-filer.localSocket=filer.sock",
        "-s3",
        f"-s3.port={port('s3')}",
        f"-s3.port.grpc={port('s3-grpc')}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-s3.config=s3.json",
        "-s3.localSocket=s3.sock",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
    )


def _security(place: Place) -> str:
    """Return `security.toml`: certificates for every inner door, tickets for the volume server."""
    pair = 'cert = "certificate.pem"\nkey = "key.pem"\n'
    lines = [
        "[jwt.signing]\n" + _ticket(place, "store_write_ticket"),
        "[jwt.signing.read]\n" + _ticket(place, "store_read_ticket"),
        "[jwt.filer_signing]\n" + _ticket(place, "store_filer_ticket"),
        "[jwt.filer_signing.read]\n" + _ticket(place, "store_filer_read_ticket"),
        "[filer.expose_directory_metadata]\nenabled = false\n",
        '[grpc]\nca = "ca.pem"\n',
        "[grpc.client]\n" + pair,
        "[https.client]\nenabled = true\n" + pair + 'ca = "ca.pem"\n',
    ]
    lines += [f"[grpc.{name}]\n{pair}" for name in _COMPONENTS]
    lines += [f'[https.{name}]\n{pair}ca = "ca.pem"\n' for name in ("master", "volume", "filer")]
    return "\n".join(lines)


def _ticket(place: Place, name: str) -> str:
    """Return the lines of one signing key, which is kept with the other secrets."""
    return f'key = "{read_secret(place.secret(name))}"\nexpires_after_seconds = 60\n'


def _identities(place: Place) -> dict[str, object]:
    """Return who may enter by S3: the provisioner everywhere, the application in its buckets, nobody else."""

    def identity(name: str, actions: list[str]) -> dict[str, object]:
        secret = read_secret(place.secret(f"s3_{name}"))
        return {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": secret}],
            "actions": actions,
        }

    application = [f"{right}:{bucket}" for bucket in (WORK_BUCKET, ARCHIVE_BUCKET) for right in _RIGHTS]
    return {
        "identities": [
            identity("provisioner", ["Admin"]),
            identity("hoso", application),
        ]
    }


def bucket_settings(place: Place, port: str) -> dict[str, str]:
    """Return the settings that lead the application to its two buckets at a port."""
    return {
        "HOSO_S3_ENDPOINT": f"{LOOPBACK}:{place.port(port)}",
        "HOSO_S3_SECURE": "false",
        "HOSO_S3_ACCESS_KEY": "hoso",
        "HOSO_S3_SECRET_KEY_FILE": str(place.secret("s3_hoso")),
        "HOSO_S3_WORK_BUCKET": WORK_BUCKET,
        "HOSO_S3_ARCHIVE_BUCKET": ARCHIVE_BUCKET,
    }


def provisioner(place: Place, port: str) -> Minio:
    """Return a client that may make buckets; it gives up at once, for who waits asks again."""
    return Minio(
        f"{LOOPBACK}:{place.port(port)}",
        "provisioner",
        read_secret(place.secret("s3_provisioner")),
        secure=False,
        region=REGION,
        http_client=urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(5)),
    )


def can_store(client: Minio) -> bool:
    """
    Tell whether an object can be written and read.

    A server that was killed answers S3 some seconds before its volumes are there again, with errors
    that mean nothing but that; so listening is not taken for being ready.
    """
    bucket, content = "stack-readiness", secrets.token_bytes(16)
    try:
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
        client.put_object(bucket, "probe", io.BytesIO(content), len(content))
        answer = client.get_object(bucket, "probe")
        try:
            return bool(answer.data == content)
        finally:
            answer.close()
            answer.release_conn()
    except (MinioException, urllib3.exceptions.HTTPError):
        return False


def make_buckets(client: Minio) -> None:
    """Make the bucket of work (versions kept) and that of the archive (locks possible), each once."""
    for bucket, locked in ((WORK_BUCKET, False), (ARCHIVE_BUCKET, True)):
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket, object_lock=locked)
        if not locked:
            client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        if client.get_bucket_versioning(bucket).status != ENABLED:
            raise Broken(f"the store does not keep versions in {bucket}")


def _make_certificates(folder: Path) -> None:
    """Make an authority and one certificate for all roles; the authority's key is forgotten at once."""
    authority = Authority(
        name=_named("Throw-away authority of one store"),
        key=ec.generate_private_key(ec.SECP256R1()),
    )
    key = ec.generate_private_key(ec.SECP256R1())
    root = certify(
        authority.name,
        authority.key.public_key(),
        by=authority,
        days=_CERTIFICATE_DAYS,
        extensions=[(x509.BasicConstraints(ca=True, path_length=0), True)],
    )
    both_ways = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    certificate = certify(
        _named("store"),
        key.public_key(),
        by=authority,
        days=_CERTIFICATE_DAYS,
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (both_ways, False),
            (here, False),
        ],
    )
    write_certificate(folder / "ca.pem", root)
    write_certificate(folder / "certificate.pem", certificate)
    write_key(folder / "key.pem", key)  # last: its being there says that the others are


def _named(name: str) -> x509.Name:
    """Return a subject that has a common name only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
