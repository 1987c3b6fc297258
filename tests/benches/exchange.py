"""
How fast two offices exchange signed documents, and what a large one costs: `python -m tests.benches.exchange`.

Each office has a PostgreSQL, an object store and a process that carries its post; keys lie on SoftHSM2, the axis
is the stack's own. A document counts when its receiver's acknowledgement (status 01) is back at its sender. The
clerk who sends, both offices, the axis and all servers share this machine. Their processes run and have loaded
what they work with before the clock does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.clock import HANOI
from infra.pdf.nursery import NURSERY
from infra.private_file import write_private
from infra.services import services
from infra.stack.layout import PROJECT, Place
from infra.stack.process import clean_environment, read_identity
from infra.stack.run import down, up

SHARED = ("database", "store", "pki", "token", "mail", "portal", "axis")
SAMPLE = PROJECT / "infra" / "stack" / "sample_office"
SENDER, RECEIVER = "H49.21", "H49.31"

#: What is asked of it: packages a minute with 1 MB attached, and bytes of memory with 100 MB attached.
ENOUGH, MEMORY = 200, 300_000_000
#: Bytes of the picture on one page.
_PICTURE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Office:
    """One of the two: its code and the file with its settings."""

    code: str
    env: Path

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start this program again as one of the office's processes."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.benches.exchange", *map(str, words)],
            env=clean_environment({"HOSO_ENV_FILE": str(self.env), "PYTHONPATH": str(PROJECT)}),
            cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def does(self, *words: object) -> Any:
        """Let one of the office's processes do something and return what it says."""
        process = self.start(*words)
        assert process.stdin is not None
        process.stdin.close()
        return self.ends(process)

    def ends(self, process: subprocess.Popen[str]) -> Any:
        """Wait for the end of one of the office's processes and return what it said last."""
        assert process.stdout is not None
        with process:
            out = process.stdout.read()
        if process.returncode:
            raise SystemExit(f"a process of {self.code} failed")
        return json.loads(out.splitlines()[-1]) if out.strip() else None


def main() -> int:
    """Play one of the parts, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("part", nargs="*", help="one of this program's own processes")
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--root", type=Path, default=Path("var/bench-exchange"))
    chosen = parser.parse_args()
    if chosen.part:
        name, *words = chosen.part
        PARTS[name](*words)
        return 0
    root = chosen.root.absolute()
    shutil.rmtree(root, ignore_errors=True)
    with two_offices(root) as (sender, receiver, axis_pid):
        many = _measure(root, sender, receiver, axis_pid, documents=chosen.documents, size=1_000_000)
        _tell("1 MB attached", many)
        large = _measure(root, sender, receiver, axis_pid, documents=1, size=100_000_000)
        _tell("100 MB attached", large)
    worst = max(large["peak_bytes"].values())
    print(f"exchange {many['a_minute']:.0f}/min {worst / 1e6:.0f} MB")
    shutil.rmtree(root)
    return 0 if many["a_minute"] >= ENOUGH and worst <= MEMORY else 1


@contextmanager
def two_offices(root: Path) -> Iterator[tuple[Office, Office, int]]:
    """Bring both offices up, each known to the other, with the axis between them; yield the axis's process too."""
    first, second = root / "a", root / "b"
    try:
        up(first, SHARED)
        up(second, ("database", "store"))
        token = second / "axis-token"
        write_private(token, "the second system\n")
        folder = Place(first).folder("axis")
        digest = hashlib.sha256(b"the second system").hexdigest()
        (folder / "systems").write_text(f"{digest} {RECEIVER}\n")
        # The second office has a database and a store of its own; authorities, tokens' module and axis are shared.
        own = _lines(Place(second).settings_file)
        lines = _lines(Place(first).settings_file) | own | {"HOSO_AXIS_TOKEN_FILE": str(token)}
        merged = second / "both.env"
        write_private(merged, "".join(f"{name}={value}\n" for name, value in lines.items()))
        offices = (
            Office(code=SENDER, env=Place(first).settings_file), Office(code=RECEIVER, env=merged),
        )  # fmt: skip
        directory = root / "directory.csv"
        seals = [one.does("open", one.code, root) for one in offices]
        rows = [f"{o.code},Ủy ban nhân dân xã {o.code},,{s}" for o, s in zip(offices, seals, strict=True)]
        directory.write_text("\n".join(["Mã định danh,Tên cơ quan,Mã cũ,Chứng thư số", *rows]))
        for one in offices:
            one.does("know", one.code, directory)
        axis = read_identity(Place(first).pid_file("axis"))
        assert axis is not None
        yield *offices, axis.pid
    finally:
        for one in (second, first):
            down(one, patience=5)


def _lines(file: Path) -> dict[str, str]:
    """Return the settings of a file."""
    pairs = (line.partition("=") for line in file.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def _measure(
    root: Path, sender: Office, receiver: Office, axis_pid: int, *, documents: int, size: int
) -> dict[str, Any]:
    """Send documents until all are acknowledged; return how long it took and what each process needed."""
    folder = root / f"letters-{size}"
    sender.does("sign", sender.code, folder, documents, size)
    stop = root / "stop"
    stop.unlink(missing_ok=True)
    carriers = {"sender": sender.start("carry", stop), "receiver": receiver.start("carry", stop)}
    clerk_process = sender.start("send", sender.code, receiver.code, folder)
    for one in (*carriers.values(), clerk_process):
        assert one.stdout is not None
        one.stdout.readline()  # It is ready.
    _forget_peak(axis_pid)
    began = time.monotonic()
    try:
        assert clerk_process.stdin is not None
        clerk_process.stdin.close()  # It may begin.
        clerk = sender.ends(clerk_process)
        sender.does("wait", documents, clerk["first"])
    finally:
        seconds = time.monotonic() - began
        stop.touch()
    peaks = {name: int(one.communicate()[0].splitlines()[-1]) for name, one in carriers.items()}
    return {
        "documents": documents,
        "seconds": seconds,
        "a_minute": 60 * documents / seconds,
        "peak_bytes": {"clerk": clerk["peak"], **peaks, "axis": _peak(axis_pid)},
    }


def _tell(what: str, found: dict[str, Any]) -> None:
    """Print one measurement."""
    peaks = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in found["peak_bytes"].items())
    print(
        f"{what}: {found['documents']} sent, received and acknowledged in {found['seconds']:.1f} s "
        f"({found['a_minute']:.0f}/min); peak memory: {peaks}"
    )


def _peak(pid: int | str = "self") -> int:
    """Return the most memory that a process has held, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _forget_peak(pid: int) -> None:
    """Let the kernel count a process's peak from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


# What the processes do --------------------------------------------------------------------------------------


def _open(code: str, root: str) -> None:
    """Load procedures and the office; print the hash of its seal's certificate."""
    from sqlmodel import select  # noqa: PLC0415

    from tasks.certificates.tables import CertificateRow  # noqa: PLC0415

    body = yaml.safe_load((SAMPLE / "office.yaml").read_text())
    file = Path(root) / code / "office.yaml"
    shutil.copytree(SAMPLE, file.parent)
    file.write_text(yaml.safe_dump({**body, "code": code}, allow_unicode=True))
    keys = services().settings.trust_anchors.parent / "tokens.json"
    _hoso("procedure", "load")
    _hoso("office", "load", file, "--keys", keys)
    with services().database.transaction() as session:
        query = select(CertificateRow).where(CertificateRow.office == code, CertificateRow.holder == "")
        print(json.dumps(session.exec(query).one().sha256))


def _know(code: str, directory: str) -> None:
    """Take the directory of agencies in."""
    from infra.sheets import read_rows  # noqa: PLC0415
    from tasks.dossier.moves import Actor  # noqa: PLC0415
    from tasks.exchange.organisations import import_directory  # noqa: PLC0415

    rows = read_rows(Path(directory).read_bytes())
    with services().database.transaction() as session:
        found = import_directory(
            session, rows, by=Actor(role="administrator", staff="an", office=code), office=code
        )
    assert not found.rejected, found


def _sign(code: str, folder: str, documents: str, size: str) -> None:
    """Make documents of a size, each signed by the office's chairman with his key."""
    from infra.pdf.signing import sign_field  # noqa: PLC0415
    from tasks.signing.keys import seal_of  # noqa: PLC0415

    signer = seal_of(code)
    Path(folder).mkdir()
    parts = services()
    for n in range(int(documents)):
        pdf = sign_field(
            _pdf(n, int(size)), field="official", token=signer.token, image=None,
            at=parts.clock.now().astimezone(HANOI), certify=False, name=None, location=None, reason=None,
            chain=parts.chain,
        )  # fmt: skip
        (Path(folder) / f"{n + 1}.pdf").write_bytes(pdf)


def _pdf(seed: int, size: int) -> bytes:
    """Return pages with pictures of so many bytes that cannot be compressed, and room for a signature."""
    import io  # noqa: PLC0415

    import pikepdf  # noqa: PLC0415
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter  # noqa: PLC0415
    from pyhanko.sign.fields import SigFieldSpec, append_signature_field  # noqa: PLC0415

    chance = random.Random(seed)
    pdf = pikepdf.new()
    for _ in range(max(1, size // _PICTURE)):
        page = pdf.add_blank_page(page_size=(595, 842))
        picture = pikepdf.Stream(pdf, chance.randbytes(_PICTURE))
        picture.Type, picture.Subtype = pikepdf.Name.XObject, pikepdf.Name.Image
        picture.Width, picture.Height, picture.BitsPerComponent = 1000, _PICTURE // 1000, 8
        picture.ColorSpace = pikepdf.Name.DeviceGray
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(P=picture))
        page.Contents = pikepdf.Stream(pdf, b"q 500 0 0 700 50 100 cm /P Do Q")
    out = io.BytesIO()
    pdf.save(out)
    writer = IncrementalPdfFileWriter(out)
    append_signature_field(writer, SigFieldSpec("official", on_page=0, box=(300, 20, 500, 90)))
    return writer.write_in_place() or out.getvalue()


def _send(code: str, to: str, folder: str) -> None:
    """Send every document of a folder as the clerk does, when told to; print the first one's code and the peak."""
    from tasks.dossier.moves import Actor  # noqa: PLC0415
    from tasks.exchange.sending import FileGiven, LetterSaid, send_letter  # noqa: PLC0415

    clerk = Actor(role="clerk", staff="mai", office=code)
    today = services().clock.now().astimezone(HANOI).date()
    files = sorted(Path(folder).iterdir(), key=lambda one: int(one.stem))
    notation = f"UBND-{Path(folder).name}"
    codes: list[str] = []
    NURSERY.load("infra.pdf.foreign_child")
    print("ready", flush=True)
    sys.stdin.read()
    _forget_peak(os.getpid())
    for file in files:
        said = LetterSaid(
            to=(to,), number=file.stem, notation=notation, date=today, subject="Về việc phối hợp"
        )
        codes.append(send_letter(code, said, [FileGiven(name=file.name, path=file)], by=clerk))
    print(json.dumps({"first": codes[0], "peak": _peak()}))


def _carry(stop: str) -> None:
    """Carry the post until told to stop; print the peak of memory."""
    from tasks.exchange.post import carry_post  # noqa: PLC0415

    NURSERY.load("infra.pdf.foreign_child")
    carry_post()
    print("ready", flush=True)
    _forget_peak(os.getpid())
    while not Path(stop).exists():
        done = carry_post()
        if not done.sent and not done.taken:
            time.sleep(0.1)
    print(_peak())


def _wait(documents: str, first: str) -> None:
    """Wait until so many documents, from the first on, are acknowledged."""
    from sqlalchemy import text  # noqa: PLC0415

    query = text("select count(*) from exchange_recipient where document >= :first and status >= '01'")
    while True:
        with services().database.transaction() as session:
            if session.connection().execute(query, {"first": first}).scalar_one() >= int(documents):
                return
        time.sleep(0.1)


def _hoso(*words: object) -> None:
    """Type a command."""
    subprocess.run(
        [sys.executable, "-m", "flows.command", *map(str, words)], check=True, stdout=subprocess.DEVNULL
    )


PARTS: dict[str, Any] = {
    "open": _open, "know": _know, "sign": _sign, "send": _send, "carry": _carry, "wait": _wait,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
