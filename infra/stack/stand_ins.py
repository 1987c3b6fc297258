"""The mail server, the portal and the axis of the stack: small servers of ours that keep what they receive."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from infra.stack.layout import PROJECT, Place
from infra.stack.parts import LOOPBACK, Part, answers
from infra.stack.process import Command


class MailSink(Part):
    """A mail server that delivers nothing and keeps everything."""

    name = "mail"
    ports = ("mail",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to its port."""
        return {"HOSO_SMTP_HOST": LOOPBACK, "HOSO_SMTP_PORT": str(place.port("mail"))}

    def prepare(self, place: Place) -> None:
        """Make the folder of messages."""
        place.folder("mail")

    def command(self, place: Place) -> Command:
        """Run it."""
        return _module(place, "infra.stack.mail_sink", "mail")

    def ready(self, place: Place) -> bool:
        """Tell whether it takes connections."""
        return answers(place.port("mail"))


class Portal(Part):
    """A stand-in for the portal that keeps citizens' accounts."""

    name = "portal"
    ports = ("portal",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to its address and to the token that it asks for."""
        return {
            "HOSO_PORTAL_URL": f"http://{LOOPBACK}:{place.port('portal')}",
            "HOSO_PORTAL_TOKEN_FILE": str(place.secret("portal")),
        }

    def prepare(self, place: Place) -> None:
        """Make the folder of deposits and the token."""
        place.folder("portal")
        place.secret("portal")

    def command(self, place: Place) -> Command:
        """Run it."""
        return _module(
            place, "infra.stack.portal_stand_in", "portal", "--token-file", str(place.secret("portal"))
        )

    def ready(self, place: Place) -> bool:
        """Tell whether it takes connections."""
        return answers(place.port("portal"))


class Axis(Part):
    """A small axis between agencies."""

    name = "axis"
    ports = ("axis",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to its address and to the token that it asks for."""
        return {
            "HOSO_AXIS_URL": f"http://{LOOPBACK}:{place.port('axis')}",
            "HOSO_AXIS_TOKEN_FILE": str(place.secret("axis")),
        }

    def prepare(self, place: Place) -> None:
        """Make the folder of packages and the token."""
        place.folder("axis")
        place.secret("axis")

    def command(self, place: Place) -> Command:
        """Run it."""
        return _module(place, "infra.stack.axis_stand_in", "axis", "--token-file", str(place.secret("axis")))

    def ready(self, place: Place) -> bool:
        """Tell whether it takes connections."""
        return answers(place.port("axis"))


def _module(place: Place, module: str, name: str, *more: str) -> Command:
    """Return the command that runs a server of ours on its port, with a folder of its own."""
    options = ("--port", str(place.port(name)), "--folder", str(place.folder(name)), *more)
    return Command(
        argv=(sys.executable, "-m", module, *options), environment={"PYTHONUNBUFFERED": "1"}, folder=PROJECT
    )
