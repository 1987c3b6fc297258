"""
Every door of the store is visited by a stranger, and a locked object is still there afterwards.

The doors are those that the kernel says are open, not those that somebody remembered to list.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.error import S3Error
from minio.objectlockconfig import ObjectLockConfig
from minio.retention import Retention

from infra.settings import read_secret
from infra.stack import process, run
from infra.stack.certificates import Authority, certify, write_certificate, write_key
from infra.stack.layout import Place
from infra.stack.parts import program
from infra.stack.seaweed import ARCHIVE_BUCKET, REGION, WORK_BUCKET, Store

KEY, CONTENT = "locked/package", b"what an office must not lose"

#: What opens or empties a store whose doors are open (method and path); `/` shows pages and listings.
REQUESTS = (
    "GET /",
    "GET /status",
    "GET /ui/index.html",
    "GET /cluster/status",
    "GET /dir/assign",
    "GET /metrics",
    "GET /debug/pprof/",
    f"GET /buckets/{ARCHIVE_BUCKET}/",
    f"GET /buckets/{ARCHIVE_BUCKET}/{KEY}",
    f"DELETE /buckets/{ARCHIVE_BUCKET}/{KEY}?recursive=true",
    f"DELETE /buckets/{ARCHIVE_BUCKET}?recursive=true",
    f"POST /buckets/{ARCHIVE_BUCKET}/{KEY}",
    f"PUT /buckets/{ARCHIVE_BUCKET}/{KEY}",
    "POST /submit",
    "POST /vol/grow",
    f"GET /col/delete?collection={ARCHIVE_BUCKET}",
    "DELETE /1,01637037d6",
)

#: How gRPC begins (RFC 9113 §3.4): the preface and an empty SETTINGS frame; the answer would be SETTINGS too.
GRPC_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SETTINGS = 4


def client(root: Path, *, key: bool = True) -> Minio:
    """Return a client with the application's key, or with none."""
    name, secret = ("hoso", read_secret(root / "secrets" / "s3_hoso")) if key else (None, None)
    return Minio(f"127.0.0.1:{Place(root).port('s3')}", name, secret, secure=False, region=REGION)


@pytest.fixture
def locked(stack_root: Path) -> Iterator[str]:
    """A locked object's version, which must still be there when the test is over."""
    until = datetime.now(UTC) + timedelta(days=1)
    written = client(stack_root).put_object(
        ARCHIVE_BUCKET, KEY, io.BytesIO(CONTENT), len(CONTENT), retention=Retention(COMPLIANCE, until)
    )
    assert written.version_id
    yield written.version_id
    answer = client(stack_root).get_object(ARCHIVE_BUCKET, KEY, version_id=written.version_id)
    assert answer.data == CONTENT
    answer.release_conn()


def doors(root: Path) -> dict[int, str]:
    """Return every port that the store's processes listen on, with its address."""
    return process.listening_ports(run.pids(root, "store"))


def inner_doors(root: Path) -> list[int]:
    """Return every port but S3's."""
    return sorted(set(doors(root)) - {Place(root).port("s3")})


def grpc_doors(root: Path) -> list[int]:
    """Return the ports that speak gRPC."""
    return [Place(root).port(name) for name in Store.ports if name.endswith("-grpc")]


def ask(port: int, request: str, tls: ssl.SSLContext | None = None) -> int:
    """Return the status that a request is answered with; 0 if the door is shut without one."""
    method, path = request.split(" ")
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=tls)
    )
    try:
        connection.request(method, path, body=b"x" if method in {"POST", "PUT"} else None)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def speaks_grpc(port: int, tls: ssl.SSLContext | None) -> bool:
    """Tell whether a door answers the beginning of a gRPC connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            line = plain if tls is None else tls.wrap_socket(plain, server_hostname="127.0.0.1")
            line.sendall(GRPC_HELLO)
            answer = line.recv(9)
            return len(answer) > 3 and answer[3] == SETTINGS  # noqa: PLR2004  the frame's type
    except OSError:
        return False


def stranger(certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """Return a TLS client that believes any server, with no certificate or one of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def insider(root: Path, protocol: str) -> ssl.SSLContext:
    """Return a TLS client with the store's own certificate: what the refusals are compared with."""
    context = stranger((root / "store" / "certificate.pem", root / "store" / "key.pem"))
    context.set_alpn_protocols([protocol])
    return context


@pytest.fixture
def self_made(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate like the store's, from an authority that a stranger made himself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    key = ec.generate_private_key(ec.SECP256R1())
    made = certify(name, key.public_key(), by=Authority(name=name, key=key), days=1, extensions=[])
    write_certificate(tmp_path / "certificate.pem", made)
    write_key(tmp_path / "key.pem", key)
    return tmp_path / "certificate.pem", tmp_path / "key.pem"


def test_exactly_the_ports_that_were_chosen_are_open_and_on_loopback(stack_root: Path) -> None:
    place = Place(stack_root)
    assert doors(stack_root) == {place.port(name): "127.0.0.1" for name in Store.ports}


def test_the_settings_name_every_door_but_s3(stack_root: Path) -> None:
    line = next(
        line
        for line in (stack_root / "hoso.env").read_text(encoding="utf-8").splitlines()
        if "STRANGER" in line
    )
    named = {int(door.rsplit(":", 1)[1]) for door in line.partition("=")[2].strip("'").split(",")}
    assert named == set(inner_doors(stack_root))


@pytest.mark.usefixtures("locked")
def test_no_inner_door_serves_a_stranger_by_http(stack_root: Path) -> None:
    served = [
        (port, request, status)
        for port in inner_doors(stack_root)
        for request in REQUESTS
        if (status := ask(port, request)) not in {0, 400, 404}
    ]
    assert served == []


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("with_certificate", [False, True])
def test_no_inner_door_serves_a_stranger_by_https(
    stack_root: Path, self_made: tuple[Path, Path], *, with_certificate: bool
) -> None:
    context = stranger(self_made if with_certificate else None)
    context.set_alpn_protocols(["http/1.1"])
    answers = {ask(port, request, context) for port in inner_doors(stack_root) for request in REQUESTS}
    assert answers == {0}
    volume = Place(stack_root).port("store-volume")
    assert ask(volume, "GET /status", insider(stack_root, "http/1.1")) == 200  # noqa: PLR2004  the door works


def test_no_grpc_door_speaks_with_a_stranger(stack_root: Path, self_made: tuple[Path, Path]) -> None:
    for port in grpc_doors(stack_root):
        for context in (None, stranger(), stranger(self_made)):
            assert not speaks_grpc(port, context)
        assert speaks_grpc(port, insider(stack_root, "h2"))  # the door works


def test_a_strangers_shell_cannot_remove_a_locked_object(
    stack_root: Path, locked: str, tmp_path: Path
) -> None:
    assert locked
    removing = f"fs.ls /buckets/\nfs.rm -r /buckets/{ARCHIVE_BUCKET}"
    assert f"{ARCHIVE_BUCKET}\n" not in shell(stack_root, tmp_path, removing, patience=5)
    # The same words from within find the bucket, so it was not the words that failed.
    assert ARCHIVE_BUCKET in shell(stack_root, stack_root / "store", "fs.ls /buckets/", patience=60)


def shell(root: Path, folder: Path, words: str, *, patience: float) -> str:
    """Run SeaweedFS's own shell in a folder, which is where it looks for certificates."""
    place = Place(root)

    def address(role: str) -> str:
        return f"127.0.0.1:{place.port(f'store-{role}')}.{place.port(f'store-{role}-grpc')}"

    with subprocess.Popen(
        [program("weed"), "shell", f"-master={address('master')}", f"-filer={address('filer')}"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process_:
        try:
            return process_.communicate(f"{words}\nexit\n", timeout=patience)[0]
        except subprocess.TimeoutExpired:  # it asks again and again for a door that stays shut
            process_.kill()
            return process_.communicate()[0]


def test_s3_refuses_who_has_no_key(stack_root: Path, locked: str) -> None:
    nobody = client(stack_root, key=False)
    for attempt in (
        nobody.list_buckets,
        lambda: list(nobody.list_objects(ARCHIVE_BUCKET)),
        lambda: nobody.get_object(ARCHIVE_BUCKET, KEY),
        lambda: nobody.put_object(ARCHIVE_BUCKET, "new", io.BytesIO(b"x"), 1),
        lambda: nobody.remove_object(ARCHIVE_BUCKET, KEY),
        lambda: nobody.remove_object(ARCHIVE_BUCKET, KEY, version_id=locked),
        lambda: nobody.make_bucket("strangers-own"),
    ):
        with pytest.raises(S3Error) as refused:
            attempt()
        assert refused.value.code == "AccessDenied"


def test_the_application_cannot_undo_a_lock_nor_change_buckets(stack_root: Path, locked: str) -> None:
    ours = client(stack_root)
    sooner = datetime.now(UTC) + timedelta(minutes=5)
    no_lock = ObjectLockConfig(None, None, None)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: ours.remove_object(ARCHIVE_BUCKET, KEY, version_id=locked),
        lambda: ours.set_object_retention(
            ARCHIVE_BUCKET, KEY, Retention(COMPLIANCE, sooner), version_id=locked
        ),
        lambda: ours.remove_bucket(WORK_BUCKET),
        lambda: ours.make_bucket("of-our-own"),
        lambda: ours.set_object_lock_config(ARCHIVE_BUCKET, no_lock),
    )
    for attempt in attempts:
        with pytest.raises(S3Error) as refused:
            attempt()
        assert refused.value.code == "AccessDenied"


def test_a_killed_store_keeps_what_it_had_acknowledged(stack_root: Path, locked: str) -> None:
    run.down(stack_root, patience=0)
    run.up(stack_root, ["database", "store", "token"])
    answer = client(stack_root).get_object(ARCHIVE_BUCKET, KEY, version_id=locked)
    assert answer.data == CONTENT
    answer.release_conn()


def test_the_store_may_be_given_other_ports_and_keeps_its_objects(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    try:
        run.up(root, ["store"])
        client(root).put_object(WORK_BUCKET, "kept", io.BytesIO(CONTENT), len(CONTENT))
        run.down(root, patience=3)
        taken = Place(root).port("store-master")
        with socket.create_server(("127.0.0.1", taken)):
            run.up(root, ["store"])
            assert Place(root).port("store-master") != taken
            answer = client(root).get_object(WORK_BUCKET, "kept")
            assert answer.data == CONTENT
            answer.release_conn()
            client(root).put_object(WORK_BUCKET, "next", io.BytesIO(CONTENT), len(CONTENT))
    finally:
        run.down(root, patience=3)
