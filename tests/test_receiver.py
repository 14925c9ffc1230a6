"""The receiver's answers, in the process: each row of the contract's table, and what is stored."""

import errno
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from unittest import mock

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from loader import receiver
from loader.errors import SettingsError
from loader.framing import unframe
from loader.metrics import Metrics
from loader.receiver import create_app
from loader.settings import Settings, load_settings
from loader.signature import sign
from loader.writer import Writer
from tests.provider import lines_of

SECRET, OTHER = "a-secret-for-tests", "another-secret"
CONFIG = f"""
LOADER_SECRETS = "{SECRET} {OTHER}"
LOADER_MAX_BODY = 2000

[webhooks.keyed]
secrets = ["secret-of-keyed"]
api_key = "X-Api-Key: open sesame"
"""
EVENT = b'{"kind": "open", "recipient": "someone@example.com"}'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with two webhooks, one of which wants an API key."""
    (tmp_path / "loader.toml").write_text(CONFIG)
    return load_settings({"LOADER_HOME": str(tmp_path)}, tmp_path)


@pytest.fixture
def writer(settings: Settings) -> Iterator[Writer]:
    """The writer of the receiver's spool."""
    with Writer(settings.spool) as made:
        yield made


@pytest.fixture
def app(settings: Settings, writer: Writer) -> Flask:
    """The application."""
    return create_app(settings, writer)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the application."""
    return app.test_client()


def post(
    client: FlaskClient,
    body: bytes = EVENT,
    path: str = "/webhooks/inboxroad",
    signature: str | None = None,
    **headers: str,
) -> TestResponse:
    """Post a body, rightly signed unless told otherwise."""
    value = sign(body, SECRET) if signature is None else signature
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return client.post(path, data=body, headers={"X-Signature": value, **named})


def lines(settings: Settings) -> list[bytes]:
    """Return the lines of the spool."""
    return list(lines_of(settings.spool))


def refused(answer: TestResponse, status: int) -> None:
    """Hold an answer against the form of a refusal."""
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert set(answer.json) == {"error"}
    assert answer.json["error"].endswith(".") and answer.json["error"].count(". ") == 0


# ── 200 ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "answer", "key"),
    [
        (EVENT, {"accepted": 1}, "event"),
        (b" {}\r", {"accepted": 1}, "event"),
        (b'[{"kind": "open"}, {"kind": "click"}]', {"accepted": 2}, "events"),
        (b"[]", {"accepted": 0}, "events"),
        (b'{\n  "kind": "open"\n}\n', {"accepted": 1}, "body"),
        (b"not json", {"accepted": 0, "kept": 1, "reason": "not_json"}, "body"),
        (b"", {"accepted": 0, "kept": 1, "reason": "empty"}, "body"),
        (b"[1]", {"accepted": 0, "kept": 1, "reason": "not_an_object"}, "body"),
        (b'"text"', {"accepted": 0, "kept": 1, "reason": "not_an_object"}, "body"),
        (b'{"a": 1, "a": 2}', {"accepted": 0, "kept": 1, "reason": "duplicate_key"}, "body"),
        (b'{"a": NaN}', {"accepted": 0, "kept": 1, "reason": "not_finite"}, "body"),
        (b"\xef\xbb\xbf{}", {"accepted": 0, "kept": 1, "reason": "byte_order_mark"}, "body"),
        (b'{"a": "\xff"}', {"accepted": 0, "kept": 1, "reason": "not_utf8"}, "body_base64"),
        ("{}".encode("utf-16"), {"accepted": 0, "kept": 1, "reason": "not_utf8"}, "body_base64"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_signed_body_is_kept(
    client: FlaskClient, settings: Settings, body: bytes, answer: dict[str, object], key: str
) -> None:
    """A signed body is answered 200 whatever it holds, and stands in the spool byte for byte."""
    got = post(client, body)
    assert (got.status_code, got.json) == (200, answer)
    (line,) = lines(settings)
    framed = unframe(line)
    assert framed is not None
    assert (framed.webhook, framed.key, framed.body) == ("inboxroad", key, body)
    assert framed.signature == sign(body, SECRET)
    assert list(json.loads(line)) == ["received_at", "webhook", "signature", key]


@pytest.mark.parametrize("secret", [SECRET, OTHER])
@pytest.mark.parametrize("form", ["{}", "nope, {}", "{},nope", ",{},", "  {}  "])
def test_one_signature_that_verifies_is_enough(
    client: FlaskClient, settings: Settings, secret: str, form: str
) -> None:
    """Any active secret and any of several values will do; the one that verified is kept."""
    right = sign(EVENT, secret)
    assert post(client, signature=form.format(right)).status_code == 200
    assert json.loads(lines(settings)[0])["signature"] == right


def test_the_time_of_arrival_is_the_clocks(settings: Settings, writer: Writer) -> None:
    """``received_at`` is the receiver's clock, in UTC with microseconds."""
    app = create_app(settings, writer, clock=lambda: 1795417200.25)
    post(app.test_client())
    assert json.loads(lines(settings)[0])["received_at"] == "2026-11-23T07:00:00.250000Z"


# ── 401, 403 ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nope",
        sign(EVENT, ""),
        sign(EVENT + b" ", SECRET),
        sign(EVENT, SECRET)[:-1],
        "ä",
        "\xff",
    ],
)
def test_wrong_signature_stores_nothing(
    client: FlaskClient, settings: Settings, signature: str
) -> None:
    """A signature that is missing, malformed or wrong is answered 401 and nothing is stored."""
    refused(post(client, signature=signature), 401)
    refused(client.post("/webhooks/inboxroad", data=EVENT), 401)
    assert lines(settings) == []


def test_webhooks_do_not_share_secrets(client: FlaskClient) -> None:
    """The secret of one webhook does not open another."""
    refused(post(client, path="/webhooks/keyed", X_Api_Key="open sesame"), 401)


@pytest.mark.parametrize("name", ["nobody", "INBOXROAD", "inboxroad%20", "..", "%ff", "a" * 3000])
def test_unknown_webhook_looks_like_a_wrong_signature(client: FlaskClient, name: str) -> None:
    """An unknown name is answered exactly as a wrong signature is."""
    unknown = post(client, path=f"/webhooks/{name}")
    wrong = post(client, signature="nope")
    refused(unknown, 401)
    assert (unknown.data, dict(unknown.headers)) == (wrong.data, dict(wrong.headers))


def test_unknown_webhook_takes_as_long(settings: Settings, writer: Writer) -> None:
    """As many signatures are computed for an unknown name as for the one with the most secrets."""
    app = create_app(settings, writer)
    counts = {}
    for path in ("/webhooks/nobody", "/webhooks/inboxroad", "/webhooks/keyed"):
        with mock.patch.object(receiver, "verify", wraps=receiver.verify) as verifying:
            post(app.test_client(), path=path, signature="nope")
        counts[path] = len(verifying.call_args.args[2])
    assert set(counts.values()) == {2}


def test_time_tells_no_names(settings: Settings, writer: Writer) -> None:
    """Measured, an unknown name and a wrong signature take the same time within a fifth."""
    app = create_app(settings, writer)
    body = b"x" * 1900
    taken: dict[str, list[float]] = {"nobody": [], "inboxroad": []}
    for _ in range(300):
        for name, times in taken.items():
            environ = {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": f"/webhooks/{name}",
                "SERVER_NAME": "receiver",
                "SERVER_PORT": "80",
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_X_SIGNATURE": "nope",
            }
            started = time.perf_counter()
            app(environ, lambda *_: None)
            times.append(time.perf_counter() - started)
    assert 0.8 < median(taken["nobody"]) / median(taken["inboxroad"]) < 1.25


def test_api_key_is_wanted_too(client: FlaskClient, settings: Settings) -> None:
    """A right signature without the right API key is answered 403 and nothing is stored."""
    value = sign(EVENT, "secret-of-keyed")
    for key in ("", "open", "open sesame!", "Open Sesame", "ä"):
        wrong = {"X_Api_Key": key} if key else {}
        refused(post(client, path="/webhooks/keyed", signature=value, **wrong), 403)
    assert lines(settings) == []
    right = {"X_Api_Key": "open sesame"}
    assert post(client, path="/webhooks/keyed", signature=value, **right).status_code == 200


def test_wrong_signature_comes_before_the_api_key(client: FlaskClient) -> None:
    """Who cannot sign learns nothing about the API key."""
    refused(post(client, path="/webhooks/keyed", signature="nope", X_Api_Key="open sesame"), 401)


# ── 405, 413, 415, 404 ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("name", ["inboxroad", "nobody"])
def test_only_post(client: FlaskClient, method: str, name: str) -> None:
    """Any other method is answered 405, for known and unknown names alike."""
    answer = client.open(f"/webhooks/{name}", method=method)
    refused(answer, 405)
    assert answer.headers["Allow"] == "POST"


def test_body_at_the_limit_is_taken_and_one_byte_more_is_not(
    client: FlaskClient, settings: Settings
) -> None:
    """The limit is exact, and a body over it is refused however it is signed."""
    assert post(client, b"x" * 2000).status_code == 200
    refused(post(client, b"x" * 2001), 413)
    assert len(lines(settings)) == 1


@pytest.mark.parametrize("declared", [None, "5"])
def test_body_over_the_limit_without_a_length(client: FlaskClient, declared: str | None) -> None:
    """A stream longer than the limit is refused also when its length is missing or a lie."""
    answer = client.post(
        "/webhooks/inboxroad",
        input_stream=io.BytesIO(b"x" * 5000),
        environ_overrides={"CONTENT_LENGTH": declared or "", "wsgi.input_terminated": True},
    )
    refused(answer, 413)


def test_declared_length_over_the_limit_is_not_read(client: FlaskClient) -> None:
    """A declared length far over the limit is refused before a byte is read."""
    stream = mock.Mock(read=mock.Mock(side_effect=AssertionError("it was read")))
    answer = client.post(
        "/webhooks/inboxroad",
        environ_overrides={"CONTENT_LENGTH": "999999999999", "wsgi.input": stream},
    )
    refused(answer, 413)
    stream.read.assert_not_called()


@pytest.mark.parametrize("declared", ["", "5000"])
def test_a_refused_body_is_taken_to_its_end(client: FlaskClient, declared: str) -> None:
    """Whoever still sends a body that is refused can read why: a proxy may not be able to."""
    stream = io.BytesIO(b"x" * 5000)
    answer = client.post(
        "/webhooks/inboxroad",
        environ_overrides={
            "CONTENT_LENGTH": declared,
            "wsgi.input": stream,
            "wsgi.input_terminated": True,
        },
    )
    refused(answer, 413)
    assert stream.read() == b""


def test_body_that_ends_early_is_refused(client: FlaskClient, settings: Settings) -> None:
    """A body shorter than its declared length is refused, even if what came is rightly signed."""
    answer = client.post(
        "/webhooks/inboxroad",
        input_stream=io.BytesIO(EVENT),
        headers={"X-Signature": sign(EVENT, SECRET)},
        environ_overrides={"CONTENT_LENGTH": str(len(EVENT) + 1)},
    )
    refused(answer, 400)
    assert lines(settings) == []


@pytest.mark.parametrize(
    "length", ["\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}", "-1", "1e3", "9" * 5000, " 5"]
)
def test_odd_length_is_refused(client: FlaskClient, length: str) -> None:
    """A Content-Length that is not plain digits is refused."""
    refused(client.post("/webhooks/inboxroad", environ_overrides={"CONTENT_LENGTH": length}), 400)


def test_read_error_is_refused_in_silence(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """A body that cannot be read is answered 400; the error, which quotes it, is not passed on."""
    stream = mock.Mock(read=mock.Mock(side_effect=ValueError("bad chunk: someone@example.com")))
    answer = client.post(
        "/webhooks/inboxroad", environ_overrides={"CONTENT_LENGTH": "5", "wsgi.input": stream}
    )
    refused(answer, 400)
    assert "someone" not in answer.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "header", ["gzip", "br", "GZIP", "identity, gzip", "x", "gzip,identity", "deflate"]
)
def test_encoded_body_is_refused(client: FlaskClient, settings: Settings, header: str) -> None:
    """Any Content-Encoding but identity is answered 415, and so are stacked transfer codings."""
    refused(post(client, Content_Encoding=header), 415)
    refused(post(client, Transfer_Encoding=f"{header}, chunked"), 415)
    assert lines(settings) == []
    assert post(client, Content_Encoding="Identity").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/webhooks", "/webhooks/", "/webhooks/inboxroad/", "/webhooks//inboxroad", "/x"]
)
def test_elsewhere_is_nothing(client: FlaskClient, path: str) -> None:
    """Other paths are answered 404, never with a redirect."""
    refused(client.post(path, data=EVENT), 404)


# ── 503 ──────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_stored_is_not_acknowledged(client: FlaskClient, settings: Settings) -> None:
    """A full disk is answered 503 with a time to come back; nothing is stored, or counted so."""
    full = mock.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, "No space left"))
    with full:
        answer = post(client)
    refused(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert lines(settings) == []
    assert "loader_appended_events_total 0.0" in client.get("/metrics").text


def test_stopping_is_not_acknowledged(client: FlaskClient, writer: Writer) -> None:
    """Once the spool is closed requests are answered 503."""
    writer.close()
    answer = post(client)
    refused(answer, 503)
    assert "shutting down" in answer.json["error"]


def test_surprise_tells_nothing(client: FlaskClient, capfd: pytest.CaptureFixture[str]) -> None:
    """An error nobody thought of is a 500 that quotes nothing of the request."""
    broken = mock.patch.object(receiver, "form", side_effect=RuntimeError("someone@example.com"))
    with broken:
        answer = post(client)
    refused(answer, 500)
    assert "someone" not in answer.text + "".join(capfd.readouterr())


# ── health, metrics, starting ────────────────────────────────────────────────────────────────


def test_health_follows_the_disk(settings: Settings) -> None:
    """``/healthz`` is 200 while events can be stored, else 503; it leaves no litter."""
    now = [0.0]
    with Writer(settings.spool, monotonic=lambda: now[0]) as writer:
        client = create_app(settings, writer).test_client()
        assert client.get("/healthz").status_code == 200
        full = mock.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, ""))
        with full:
            post(client)
        sick = client.get("/healthz")
        refused(sick, 503)
        assert "Retry-After" in sick.headers
        now[0] = 60
        assert client.get("/healthz").status_code == 200
    assert [path for path in settings.spool.rglob("*") if path.is_file()] == []


def test_health_sends_traffic_away_first(settings: Settings, writer: Writer) -> None:
    """While the process is about to stop ``/healthz`` is 503, but requests are still answered."""
    client = create_app(settings, writer, draining=lambda: True).test_client()
    refused(client.get("/healthz"), 503)
    assert post(client).status_code == 200


def test_metrics_count(settings: Settings) -> None:
    """``/metrics`` counts answers, events and bytes, times syncs, and weighs the spool."""
    metrics = Metrics()
    with Writer(settings.spool, synced=metrics.synced) as writer:
        client = create_app(settings, writer, metrics=metrics).test_client()
        post(client)
        post(client, b"[{}, {}]")
        post(client, signature="nope")
        client.get("/webhooks/inboxroad")
        size = sum(map(len, lines(settings)))
        text = client.get("/metrics").text
    for row in (
        'loader_requests_total{answer="200"} 2.0',
        'loader_requests_total{answer="401"} 1.0',
        'loader_requests_total{answer="405"} 1.0',
        "loader_appended_events_total 3.0",
        f"loader_appended_bytes_total {size:.1f}",
        "loader_sync_seconds_count 2.0",
        "loader_spool_segments 1.0",
        f"loader_spool_bytes {size:.1f}",
    ):
        assert row in text, row


@pytest.mark.parametrize(
    ("address", "header", "status"),
    [
        ("127.0.0.1", None, 200),
        ("127.9.9.9", None, 200),
        ("::1", None, 200),
        ("::ffff:127.0.0.1", None, 200),
        ("192.0.2.7", None, 404),
        ("::ffff:192.0.2.7", None, 404),
        ("", None, 404),
        ("127.0.0.1", "X-Forwarded-For", 404),
        ("127.0.0.1", "Forwarded", 404),
        ("127.0.0.1", "X-Real-IP", 404),
        ("127.0.0.1", "Via", 404),
    ],
)
def test_metrics_are_for_this_machine(
    client: FlaskClient, address: str, header: str | None, status: int
) -> None:
    """``/metrics`` is not for other machines, nor for a proxy that speaks for one."""
    headers = {header: "192.0.2.7"} if header else {}
    answer = client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == status


def test_metrics_can_be_opened(tmp_path: Path) -> None:
    """With LOADER_METRICS_PUBLIC every address may read them."""
    environ = {
        "LOADER_HOME": str(tmp_path),
        "LOADER_SECRETS": SECRET,
        "LOADER_METRICS_PUBLIC": "yes",
    }
    settings = load_settings(environ, tmp_path)
    with Writer(settings.spool) as writer:
        client = create_app(settings, writer).test_client()
        answer = client.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[webhooks.x]\nsecrets = []",
        'LOADER_API_KEY = "A: b"',
        f"[webhooks.x]\nretired_secrets = '{OTHER}'",
        f"LOADER_SECRETS = '{SECRET}'\n[webhooks.x]\nsecrets = []",
    ],
)
def test_no_start_without_a_secret(tmp_path: Path, config: str) -> None:
    """Without a secret for every webhook there is no receiver."""
    (tmp_path / "loader.toml").write_text(config)
    settings = load_settings({"LOADER_HOME": str(tmp_path)}, tmp_path)
    with pytest.raises(SettingsError, match="secret"):
        create_app(settings, mock.Mock())


def test_a_webhook_that_was_given_up_admits_nothing(tmp_path: Path, writer: Writer) -> None:
    """One with retired secrets only stops no start, and is answered as an unknown one is."""
    (tmp_path / "loader.toml").write_text(f"[webhooks.x]\nretired_secrets = '{OTHER}'")
    environ = {"LOADER_HOME": str(tmp_path), "LOADER_SECRETS": SECRET}
    client = create_app(load_settings(environ, tmp_path), writer).test_client()

    refused(post(client, path="/webhooks/x", signature=sign(EVENT, OTHER)), 401)
    assert post(client).status_code == 200


def test_refusals_are_logged_now_and_then(
    settings: Settings, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal is logged at once, its repetitions every ten seconds, with their number."""
    now = [1000.0]
    client = create_app(settings, writer, clock=lambda: now[0]).test_client()
    for moment in (0, 1, 2, 9, 11):
        now[0] = 1000.0 + moment
        post(client, signature="nope")
    client.get("/webhooks/inboxroad")
    said = [record.getMessage().split(":")[0] for record in caplog.records]
    assert said == ["refused 1 with 401", "refused 4 with 401", "refused 1 with 405"]


def test_nothing_of_the_request_is_logged(
    client: FlaskClient, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither addresses nor signatures, keys or names from requests reach any log."""
    caplog.set_level(0)
    value = sign(EVENT, "secret-of-keyed")
    post(client)
    post(client, b"someone@example.com")
    post(client, signature="nope-nope")
    post(client, path="/webhooks/keyed", signature=value, X_Api_Key="wrong-key")
    with mock.patch.object(os, "write", side_effect=OSError(errno.EIO, "")):
        post(client)
    said = caplog.text + "".join(capfd.readouterr())
    for secret in ("someone", "example.com", "nope-nope", "wrong-key", value, "sesame", SECRET):
        assert secret not in said
