"""Hostile and odd requests, byte by byte: named ones, and mutations of them.

Whatever comes, the receiver answers with a status that is not 500 or closes the connection; what
is not signed is not stored; and no request hides in another: many probes carry a second request,
rightly signed, whose event has a name of its own, so that storing it gives the smuggling away.
"""

import random
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from loader import signature
from tests.torture.client import HOST, SECRETS, event, signed

HIDDEN = "hidden-in-another"
OUTSIDE = "stored-by-a-probe"
_BODY = event(OUTSIDE)
_SIGNATURE = signature.sign(_BODY, SECRETS[0]).encode()
_HIDDEN = signed(event(HIDDEN))
Connect = Callable[[], socket.socket]


@dataclass(frozen=True)
class Probe:
    """Bytes to send, and what may be answered first; 0 is a connection closed unanswered."""

    name: str
    data: bytes
    statuses: frozenset[int]


def post(  # noqa: D103
    *headers: bytes,
    body: bytes = _BODY,
    line: bytes = b"POST /webhooks/inboxroad HTTP/1.1",
    signed_with: bytes | None = _SIGNATURE,
    host: bytes | None = HOST.encode(),
) -> bytes:
    rows = [line]
    if host is not None:
        rows.append(b"Host: " + host)
    if signed_with is not None:
        rows.append(b"X-Signature: " + signed_with)
    return b"\r\n".join([*rows, *headers]) + b"\r\n\r\n" + body


def _length(size: int | bytes) -> bytes:
    return b"Content-Length: " + (size if isinstance(size, bytes) else str(size).encode())


_N = len(_BODY)
_FITS = _length(_N)
_CHUNKED = b"Transfer-Encoding: chunked"
_ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (_N, _BODY)
_OK, _REFUSED = {200}, {400, 0}


def named() -> list[Probe]:
    """Return the named probes."""
    rows = [*_plain(), *_lengths(), *_chunks(), *_header_probes(), *_lines(), *_signatures()]
    return [Probe(name, data, frozenset(statuses)) for name, data, statuses in rows]


_Row = tuple[str, bytes, set[int]]


def _plain() -> list[_Row]:
    return [
        ("well formed", post(_FITS), _OK),
        ("two in a row", post(_FITS) + post(_FITS), _OK),
        ("lower-case header names", post(_FITS).replace(b"X-Signature", b"x-signature"), _OK),
        ("HTTP/1.0", post(_FITS, line=b"POST /webhooks/inboxroad HTTP/1.0"), _OK),
        ("expect 100-continue", post(_FITS, b"Expect: 100-continue"), {100, 200}),
        ("expect something else", post(_FITS, b"Expect: the-impossible"), {417, 200, 0}),
        ("no body at all", post(_length(0), body=b""), {401}),
        ("no length, no body", post(body=b""), {401}),
        ("unsigned", post(_FITS, signed_with=None), {401}),
        ("a slow goodbye", post(_FITS, b"Connection: close"), _OK),
        ("an upgrade", post(_FITS, b"Connection: Upgrade", b"Upgrade: websocket"), {200, 400}),
        ("an upgrade to HTTP/2", post(_FITS, b"Connection: Upgrade, HTTP2-Settings",
                                      b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), _OK),
        ("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 405, 505, 0}),
        ("a TLS hello on plain text", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 32
         + b"\r\n\r\n", _REFUSED),
        ("silence of NULs", b"\0" * 64 + b"\r\n\r\n", _REFUSED),
        ("empty lines first", b"\r\n\r\n" + post(_FITS), {200, 400, 0}),
        ("a proxy line first", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + post(_FITS), _REFUSED),
    ]  # fmt: skip


def _lengths() -> list[_Row]:
    return [
        ("length twice, the same", post(_FITS, _FITS), {200, 400, 0}),
        ("length twice, differing", post(_length(0), _FITS), _REFUSED),
        ("length as a list", post(_length(b"%d, %d" % (_N, _N))), {200, 400, 0}),
        ("length with a plus", post(_length(b"+%d" % _N)), _REFUSED),
        ("length with a minus", post(_length(b"-1")), _REFUSED),
        ("length in hexadecimal", post(_length(b"0x%x" % _N)), _REFUSED),
        ("length with an underscore", post(_length(b"1_0")), _REFUSED),
        ("length with a space inside", post(_length(b"1 0")), _REFUSED),
        ("length with a decimal point", post(_length(b"%d.0" % _N)), _REFUSED),
        ("length of Arabic digits", post(_length("٣٣".encode())), _REFUSED),
        ("length of nothing", post(_length(b"")), {400, 401, 0}),
        ("length beyond 64 bits", post(_length(2**70)), {400, 413, 0}),
        ("length over the limit", post(_length(1024 * 1024 + 1)), {413}),
        ("length too long, then silence", post(_length(_N + 50)), {0, 400, 408}),
        ("length too short", post(_length(_N - 1)), {401}),
        ("length with a tab before the colon", post(b"Content-Length\t: %d" % _N), _REFUSED),
        ("length with a space before the colon", post(b"Content-Length : %d" % _N), _REFUSED),
        ("length in a folded line", post(b"Content-Length:\r\n %d" % _N), _REFUSED),
    ]


def _chunks() -> list[_Row]:
    def chunked(body: bytes, *more: bytes, coding: bytes = _CHUNKED) -> bytes:
        return post(coding, *more, body=body)

    big = b"%x\r\n%s\r\n" % (65536, b"x" * 65536)
    smuggler = b"0\r\n\r\n" + _HIDDEN
    return [
        ("chunked", chunked(_ONE_CHUNK), _OK),
        ("chunked in single bytes", chunked(b"".join(b"1\r\n%c\r\n" % c for c in _BODY)
                                            + b"0\r\n\r\n"), _OK),
        ("chunked with an extension", chunked(_ONE_CHUNK.replace(b"\r\n", b";a=b\r\n", 1)), _OK),
        ("chunked with a trailer", chunked(_ONE_CHUNK[:-2] + b"X-Late: 1\r\n\r\n"), _OK),
        ("a signature in the trailer", post(_CHUNKED, signed_with=None, body=_ONE_CHUNK[:-2]
                                            + b"X-Signature: " + _SIGNATURE + b"\r\n\r\n"), {401}),
        ("chunked over the limit", chunked(big * 20 + b"0\r\n\r\n"), {413}),
        ("chunked and a length", chunked(_ONE_CHUNK, _FITS), {400, 0}),
        ("a length that hides a request", chunked(smuggler, _length(len(smuggler))), {400, 401, 0}),
        ("chunked after identity", chunked(_ONE_CHUNK, b"Transfer-Encoding: identity"),
         {200, 400, 501, 0}),
        ("chunked twice", chunked(_ONE_CHUNK, _CHUNKED), {400, 501, 0}),
        ("chunked, chunked", chunked(_ONE_CHUNK, coding=b"Transfer-Encoding: chunked, chunked"),
         {400, 501, 0}),
        ("gzip, chunked", chunked(_ONE_CHUNK, coding=b"Transfer-Encoding: gzip, chunked"),
         {400, 415, 501, 0}),
        ("chunked misspelt", chunked(smuggler, _length(5), coding=b"Transfer-Encoding: xchunked"),
         {400, 501, 0}),
        ("chunked in capitals", chunked(_ONE_CHUNK, coding=b"Transfer-Encoding: CHUNKED"),
         {200, 400, 501, 0}),
        ("chunked behind a vertical tab", chunked(smuggler, _length(5),
                                                  coding=b"Transfer-Encoding: \x0bchunked"),
         {400, 501, 0}),
        ("chunked with a space before the colon", chunked(smuggler, _length(5),
                                                          coding=b"Transfer-Encoding : chunked"),
         _REFUSED),
        ("chunked in HTTP/1.0", post(_CHUNKED, line=b"POST /webhooks/inboxroad HTTP/1.0",
                                     body=_ONE_CHUNK), {200, 400, 401, 0}),
        ("a chunk size that is none", chunked(b"zz\r\nsecret@person.example\r\n0\r\n\r\n"),
         _REFUSED),
        ("a chunk size with a minus", chunked(b"-5\r\nhello\r\n0\r\n\r\n"), _REFUSED),
        ("a chunk size with 0x", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), _REFUSED),
        ("a chunk size with a plus", chunked(b"+5\r\nhello\r\n0\r\n\r\n"), _REFUSED),
        ("an endless chunk size", chunked(b"F" * 40 + b"\r\nhello\r\n"), {400, 413, 0}),
        ("a chunk that ends early", chunked(b"5\r\nhel"), {400, 408, 0}),
        ("a chunk without its line end", chunked(b"5\r\nhello0\r\n\r\n"), _REFUSED),
        ("chunks ended by bare newlines", chunked(_ONE_CHUNK.replace(b"\r\n", b"\n")), _REFUSED),
        ("a bare newline in an extension", chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), _REFUSED),
        ("a request in an extension", chunked(b"5;a\n" + smuggler), _REFUSED),
    ]  # fmt: skip


def _header_probes() -> list[_Row]:
    return [
        ("a header without a colon", post(_FITS, b"Nonsense"), _REFUSED),
        ("a header without a name", post(_FITS, b": value"), _REFUSED),
        ("a space in a header name", post(_FITS, b"A B: c"), {200, 400, 0}),
        ("a NUL in a header", post(_FITS, b"A: b\0c"), _REFUSED),
        ("a carriage return in a header", post(_FITS, b"A: b\rX: c"), _REFUSED),
        ("a header ended by a bare newline", post(_FITS).replace(b"\r\nX-", b"\nX-"),
         {200, 400, 0}),
        ("a folded header", post(_FITS, b"A: b\r\n c"), _REFUSED),
        ("a header beyond ASCII", post(_FITS, "A: käse".encode()), {200, 400, 0}),
        ("a header of 9000 bytes", post(_FITS, b"A: " + b"x" * 9000), {200, 400, 431, 0}),
        ("a hundred and one headers", post(_FITS, *(b"A%d: b" % n for n in range(101))),
         {200, 400, 431, 0}),
        ("no Host", post(_FITS, host=None), {200, 400, 0}),
        ("two Hosts", post(_FITS, b"Host: other"), {200, 400, 0}),
        ("an odd Host", post(_FITS, host=b"[::1%25eth0]:x"), {200, 400, 0}),
        ("X_Signature", post(_FITS, b"X_Signature: " + _SIGNATURE, signed_with=None),
         {401, 400, 0}),
        ("SCRIPT_NAME", post(_FITS, b"SCRIPT_NAME: /elsewhere"), {200, 400, 0}),
        ("PATH_INFO", post(_FITS, b"PATH_INFO: /metrics"), {200, 400, 0}),
        ("Content_Length", post(b"Content_Length: %d" % _N), {401, 400, 0}),
        ("a compressed body", post(_FITS, b"Content-Encoding: gzip"), {415}),
        ("identity and a compressed body", post(_FITS, b"Content-Encoding: identity, br"), {415}),
        ("forwarded headers", post(_FITS, b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"),
         {200, 400, 0}),
        ("another method in a header", post(_FITS, b"X-HTTP-Method-Override: DELETE"), _OK),
    ]  # fmt: skip


def _lines() -> list[_Row]:
    def line(text: bytes) -> bytes:
        return post(_FITS, line=text)

    nothing_here = {400, 401, 404, 405, 308, 0}
    return [
        ("GET", line(b"GET /webhooks/inboxroad HTTP/1.1"), {405}),
        ("a method nobody knows", line(b"BREW /webhooks/inboxroad HTTP/1.1"), {405, 400, 0}),
        ("a method in lower case", line(b"post /webhooks/inboxroad HTTP/1.1"), {405, 400, 0}),
        ("TRACE", line(b"TRACE /webhooks/inboxroad HTTP/1.1"), {405, 400, 0}),
        ("CONNECT", line(b"CONNECT receiver:443 HTTP/1.1"), nothing_here),
        ("an absolute target", line(b"POST http://receiver/webhooks/inboxroad HTTP/1.1"),
         {200, 400, 404, 0}),
        ("an asterisk", line(b"POST * HTTP/1.1"), nothing_here),
        ("dots in the path", line(b"POST /x/../webhooks/inboxroad HTTP/1.1"), nothing_here | {200}),
        ("encoded dots in the path", line(b"POST /webhooks/%2e%2e/metrics HTTP/1.1"), nothing_here),
        ("an encoded slash", line(b"POST /webhooks%2finboxroad HTTP/1.1"), nothing_here | {200}),
        ("two slashes", line(b"POST //webhooks//inboxroad HTTP/1.1"), nothing_here | {200}),
        ("a slash behind", line(b"POST /webhooks/inboxroad/ HTTP/1.1"), nothing_here),
        ("a NUL in the path", line(b"POST /webhooks/inboxroad%00 HTTP/1.1"), nothing_here),
        ("bytes beyond ASCII in the path", line(b"POST /webhooks/\xff\xfe HTTP/1.1"), nothing_here),
        ("an unknown webhook", line(b"POST /webhooks/nobody HTTP/1.1"), {401}),
        ("a path of 5000 bytes", line(b"POST /webhooks/" + b"x" * 5000 + b" HTTP/1.1"),
         {401, 414, 400, 0}),
        ("a query", line(b"POST /webhooks/inboxroad?a=b HTTP/1.1"), _OK),
        ("HTTP/9.9", line(b"POST /webhooks/inboxroad HTTP/9.9"), {400, 505, 0}),
        ("HTTP/0.9", b"GET /\r\n\r\n", {400, 404, 0}),
        ("no version", line(b"POST /webhooks/inboxroad"), _REFUSED),
        ("two spaces", line(b"POST  /webhooks/inboxroad HTTP/1.1"), {200, 400, 404, 0}),
        ("metrics from a proxy", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
         b"X-Forwarded-For: 203.0.113.7\r\n\r\n", {404}),
    ]  # fmt: skip


def _signatures() -> list[_Row]:
    def value(text: bytes) -> bytes:
        return post(_FITS, signed_with=text)

    trailing = _SIGNATURE[:-2] + bytes([_SIGNATURE[-2] + 1]) + b"="
    return [
        ("an empty signature", value(b""), {401}),
        ("only commas", value(b",,,,"), {401}),
        ("a thousand commas", value(b"," * 1000), {401}),
        ("wrong, then right", value(b"AAAA, " + _SIGNATURE), _OK),
        ("right in a second header", post(_FITS, b"X-Signature: " + _SIGNATURE,
                                          signed_with=b"AAAA"), _OK),
        ("other trailing bits", value(trailing), {401}),
        ("without padding", value(_SIGNATURE.rstrip(b"=")), {401}),
        ("in quotes", value(b'"' + _SIGNATURE + b'"'), {401}),
        ("with a scheme", value(b"sha256=" + _SIGNATURE), {401}),
        ("of the body and a newline",
         value(signature.sign(_BODY + b"\n", SECRETS[0]).encode()), {401}),
        ("under an empty secret", value(signature.sign(_BODY, "").encode()), {401}),
        ("beyond ASCII", value("sïgnature".encode()), {401, 400, 0}),
        ("beyond UTF-8", value(b"\xff\xfe\x80"), {401, 400, 0}),
        ("under the second secret", value(signature.sign(_BODY, SECRETS[1]).encode()), _OK),
    ]  # fmt: skip


def plain(port: int) -> Connect:
    """Return what connects to ``port`` of this machine."""
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=20)


def encrypted(port: int, name: str = HOST) -> Connect:
    """The same over TLS, asking for ``name`` without asking who is there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return lambda: context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname=name
    )


@dataclass
class Probed:
    """What came of many probes."""

    asked: int
    unexpected: list[tuple[str, list[int]]]
    """Name, or the bytes, of each probe that was answered otherwise than it may be."""


def probe_named(connect: Connect, *, behind_proxy: bool = False) -> Probed:
    """Send every named probe, several at a time.

    A proxy may mend a request before it passes it on, or give it up, so there any answer but 500
    and 502 will do.
    """

    def wrong(probe: Probe) -> tuple[str, list[int]] | None:
        statuses = ask(connect, probe.data)
        first = statuses[0] if statuses else 0
        allowed = first not in {500, 502} if behind_proxy else first in probe.statuses
        return None if allowed else (probe.name, statuses)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(wrong, named()))
    return Probed(len(found), [one for one in found if one is not None])


def probe_mutated(connect: Connect, seed: int, number: int) -> Probed:
    """Send mutations; none may be answered with a 500."""

    def wrong(data: bytes) -> tuple[str, list[int]] | None:
        statuses = ask(connect, data)
        return (repr(data), statuses) if {500, 502, 503} & set(statuses) else None

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(wrong, mutations(seed, number)))
    return Probed(number, [one for one in found if one is not None])


def ask(connect: Connect, data: bytes, patience: float = 0.7) -> list[int]:
    """Send ``data``, say that nothing follows, and return every status that is answered.

    TLS cannot be told that nothing follows: it has ``patience`` seconds for each answer.
    """
    answer = b""
    with connect() as connection, suppress(OSError):
        with suppress(OSError):
            connection.sendall(data)
            if not isinstance(connection, ssl.SSLSocket):
                connection.shutdown(socket.SHUT_WR)
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(patience)
        while part := connection.recv(65536):
            answer += part
    return [int(status) for status in _STATUS.findall(answer)]


_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")


def mutations(seed: int, number: int) -> Iterator[bytes]:
    """Give ``number`` probes with a few bytes changed, doubled, moved or lost."""
    random_ = random.Random(seed)
    originals = [probe.data for probe in named() if len(probe.data) < 10_000]
    for _ in range(number):
        data = bytearray(random_.choice(originals))
        for _ in range(random_.randint(1, 4)):
            _mutate(data, random_)
        yield bytes(data)


def _mutate(data: bytearray, random_: random.Random) -> None:
    at = random_.randrange(len(data) + 1)
    match random_.randrange(5):
        case 0:
            data[at : at + 1] = bytes([random_.randrange(256)])
        case 1:
            data[at:at] = random_.choice([b"\r\n", b"\n", b"\0", b" ", b",", b"0\r\n\r\n", b"\t"])
        case 2:
            del data[at : at + random_.randint(1, 8)]
        case 3:
            data[at:at] = data[max(0, at - random_.randint(1, 30)) : at]
        case _:
            data[at:at] = random_.choice([_CHUNKED + b"\r\n", _length(3) + b"\r\n", b"\xff"])
