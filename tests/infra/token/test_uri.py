"""Names of keys are followed exactly or refused."""

from __future__ import annotations

import pytest

from infra.token.uri import BadTokenUri, TokenUri


def test_every_part_of_a_name_is_read() -> None:
    uri = TokenUri.parse(
        "pkcs11:token=C%C3%A1n%20b%E1%BB%99;serial=9f;object=k%3B1;id=%00%aB%63;type=private"
    )
    assert uri == TokenUri(token="Cán bộ", serial="9f", object="k;1", id=b"\x00\xabc", type="private")


def test_a_name_survives_being_written_and_read() -> None:
    uri = TokenUri(token="Con dấu; 50%", serial="a/b", object="khoá=1", id=bytes(range(256)), type="private")
    assert TokenUri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "pkcs11:token=a;id=%01?pin-value=1234",
        "pkcs11:token=a;id=%01?pin-source=file:/etc/pin",
        "pkcs11:token=a;id=%01?module-path=/tmp/x.so",
        "pkcs11:token=a;id=%01?",
    ],
)
def test_a_name_with_a_query_is_refused_and_its_pin_not_repeated(text: str) -> None:
    with pytest.raises(BadTokenUri) as caught:
        TokenUri.parse(text)
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "token=a;id=%01",
        "pkcs11:",
        "pkcs11:token=a",
        "pkcs11:id=%01",
        "pkcs11:slot-id=0;token=a;id=%01",
        "pkcs11:token=a;token=b;id=%01",
        "pkcs11:token;id=%01",
        "pkcs11:token=a;id=%01;type=key",
        "pkcs11:token=%ff;id=%01",
    ],
)
def test_a_name_that_cannot_be_followed_exactly_is_refused(text: str) -> None:
    with pytest.raises(BadTokenUri):
        TokenUri.parse(text)
