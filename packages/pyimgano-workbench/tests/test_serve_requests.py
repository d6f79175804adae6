"""`pyimgano bundle serve` asked over loopback: records, errors and limits. About 25 s."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

pytest.importorskip("fastapi", reason="the service is an extra")

from pyimgano.core.files import sha256_bytes
from pyimgano.core.images import decode_image
from pyimgano.workbench.inference import RunModels, Source, predict_stream
from pyimgano.workbench.records import PredictionRecord, read_records
from pyimgano.workbench.render import map_at
from pyimgano.workbench.runs import open_run


@pytest.fixture(scope="module")
def run(texture_runs: dict[str, Path]) -> Path:
    return texture_runs["one"]


@pytest.fixture(scope="module")
def images(run: Path) -> list[Path]:
    return sorted((run.parents[1] / "textures" / "brick" / "test").rglob("*.png"))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "records.jsonl"


@pytest.fixture(scope="module")
def service(run: Path, records: Path, start_service: Any) -> Any:
    return start_service(run, "--records", records, "--max-bytes", 300_000, "--drift-window", 20, "--queue", 16)


@pytest.fixture(scope="module")
def two(texture_runs: dict[str, Path], start_service: Any) -> Any:
    """A service of two categories, with a key and without records."""
    return start_service(texture_runs["coarse"], env={"PYIMGANO_API_KEY": "a key"})


def form(content: bytes, name: str = "part.png", field: str = "image") -> tuple[bytes, str]:
    head = f'--xyz\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--xyz--\r\n", "multipart/form-data; boundary=xyz"


def test_an_answer_is_the_record_that_infer_would_write(service: Any, run: Path, images: Sequence[Path]) -> None:
    models = RunModels(open_run(run))
    sources = [Source(path.name, path) for path in images[:12]]
    expected = list(predict_stream(sources, models.fitted, maps=True))
    for path, (_, fitted, scored) in zip(images, expected):
        status, answer = service.inspect(path.read_bytes(), f"?name={path.name}")
        assert status == 200
        record = PredictionRecord.from_json(answer["record"])
        verdict = fitted.judge(scored)
        assert (record.score, record.decision) == (scored.score, verdict.decision)
        assert record.regions == verdict.found.regions
        assert (record.threshold, record.p_value) == (fitted.card.threshold, fitted.card.p_value(scored.score))
        assert (record.category, record.image) == ("brick", path.name)
        assert record.sha256 == sha256_bytes(path.read_bytes())
        assert answer["repeated"] is False
        assert answer["map"] is None


def test_body_and_form_say_the_same(service: Any, images: Sequence[Path]) -> None:
    content = images[0].read_bytes()
    body, kind = form(content)
    _, raw = service.inspect(content)
    status, sent = service.inspect(body, kind=kind)
    assert status == 200
    assert (raw["record"].pop("image"), sent["record"].pop("image")) == ("image", "part.png")
    assert raw == sent


def test_a_record_is_on_the_disk_before_it_is_answered(service: Any, records: Path, images: Sequence[Path]) -> None:
    _, answer = service.inspect(images[1].read_bytes(), "?id=lot7:part-1")
    assert json.loads(records.read_text(encoding="utf-8").splitlines()[-1]) == answer["record"]
    assert answer["record"]["id"] == "lot7:part-1"
    read_records(records)


def test_an_id_that_is_sent_again_is_answered_again_and_not_recorded_again(
    service: Any, records: Path, images: Sequence[Path]
) -> None:
    _, first = service.inspect(images[2].read_bytes(), "?id=twice&name=a.png")
    size = records.stat().st_size
    status, second = service.inspect(images[2].read_bytes(), "?id=twice&name=other.png")
    assert (status, second["repeated"]) == (200, True)
    assert second["record"] == first["record"]
    status, third = service.inspect(images[2].read_bytes(), "?id=twice&map=png")  # the picture is made again
    assert third["map"]["type"] == "image/png"
    assert third["record"] == first["record"]
    status, other = service.inspect(images[3].read_bytes(), "?id=twice")
    assert (status, other["error"]["code"]) == (409, "conflict")
    assert records.stat().st_size == size


def test_an_image_that_cannot_be_read_is_an_error_twice_and_never_a_verdict(
    service: Any, records: Path, images: Sequence[Path]
) -> None:
    for number, content in enumerate((b"no image", images[0].read_bytes()[:2000], b"\x89PNG\r\n\x1a\n")):
        status, first = service.inspect(content, f"?id=bad-{number}")
        assert (status, first["error"]["code"]) == (422, "invalid_image")
        assert service.inspect(content, f"?id=bad-{number}") == (422, first)
        record = json.loads(records.read_text(encoding="utf-8").splitlines()[-1])
        assert record["id"] == f"bad-{number}"
        assert "score" not in record
        assert first["error"]["message"] == record["error"]
    status, empty = service.inspect(b"")
    assert (status, empty["error"]["message"]) == (422, "the file is empty")


def test_a_bomb_is_refused_by_its_header(service: Any) -> None:
    rows = zlib.compress(b"\0" * (3 * 20000 + 1) * 200)
    header = b"IHDR" + (20000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        for chunk in (header, b"IDAT" + rows, b"IEND")
    )
    status, answer = service.inspect(png)
    assert status == 422
    assert "claims 20000×20000 pixels" in answer["error"]["message"]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("as_form", [True, False])
def test_a_body_beyond_the_limit_is_refused_while_it_arrives(service: Any, declared: bool, as_form: bool) -> None:
    body, kind = form(b"x" * 400_000) if as_form else (b"x" * 400_000, "image/png")
    sent = 0

    def parts():
        nonlocal sent
        for start in range(0, 400_000_000, 10_000):
            yield body[start % len(body) : start % len(body) + 10_000] if start < 390_000 else b"y" * 10_000
            sent += 10_000

    headers = {"Content-Type": kind, **({"Content-Length": "400000000"} if declared else {})}
    try:
        status, _, text = service.request("POST", "/v1/inspect", parts(), headers)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it hung up: it does not read what it will not take
    else:
        assert (status, json.loads(text)["error"]["code"]) == (413, "too_large")
    assert sent < 50_000_000
    assert service.request("GET", "/readyz")[0] == 200


def test_exactly_the_limit_is_taken(service: Any, images: Sequence[Path]) -> None:
    content = images[0].read_bytes()
    padded = content + b"\0" * (300_000 - len(content))  # behind the end of a PNG anything may stand
    assert service.inspect(padded)[0] == 200
    assert service.inspect(padded + b"\0")[0] == 413
    body, kind = form(padded)
    assert service.inspect(body, kind=kind)[0] == 200
    body, kind = form(padded + b"\0")
    assert service.inspect(body, kind=kind)[0] == 413


def test_what_is_wrong_with_a_request_is_said_in_one_shape(service: Any, images: Sequence[Path]) -> None:
    png = {"Content-Type": "image/png"}
    content = images[0].read_bytes()
    broken, kind = form(content)
    other, _ = form(content, field="photo")
    cases = [
        ("GET", "/v1/nothing", None, {}, 404, "not_found"),
        ("GET", "/v1/inspect", None, {}, 405, "not_allowed"),
        ("POST", "/v1/inspect/", content, png, 404, "not_found"),
        ("POST", "/v1/inspect", content, {"Content-Type": "text/plain"}, 415, "unsupported_type"),
        ("POST", "/v1/inspect", content, {}, 415, "unsupported_type"),
        ("POST", "/v1/inspect?category=wood", content, png, 422, "invalid_query"),
        ("POST", "/v1/inspect?map=gif", content, png, 422, "invalid_query"),
        ("POST", "/v1/inspect?catgory=brick", content, png, 422, "invalid_query"),
        ("POST", "/v1/inspect?regions=perhaps", content, png, 422, "invalid_query"),
        ("POST", "/v1/inspect?id=%20", content, png, 422, "invalid_query"),
        ("POST", "/v1/inspect?id=" + "x" * 129, content, png, 422, "invalid_query"),
        ("POST", "/v1/inspect", other, {"Content-Type": kind}, 422, "invalid_form"),
        ("POST", "/v1/inspect", broken[5:], {"Content-Type": kind}, 400, "invalid_form"),
        ("POST", "/v1/inspect", content, {"Content-Type": "multipart/form-data"}, 400, "invalid_form"),
    ]
    for method, path, body, headers, status, code in cases:
        found, _, text = service.request(method, path, body, headers)
        error = json.loads(text)["error"]
        assert (found, error["code"]) == (status, code), (path, text)
        assert set(error) == {"code", "message", "allowed", "hint"}
        assert error["message"]


def test_maps_are_those_of_the_model(service: Any, run: Path, images: Sequence[Path]) -> None:
    models = RunModels(open_run(run))
    ((_, _, scored),) = predict_stream([Source("x", images[-1])], models.fitted, maps=True)
    _, answer = service.inspect(images[-1].read_bytes(), "?map=tiff&regions=false")
    assert answer["map"]["type"] == "image/tiff"
    assert "regions" not in answer["record"]
    values = decode_image(base64.b64decode(answer["map"]["base64"]))
    np.testing.assert_array_equal(values, map_at(scored.map, scored.shape))
    _, answer = service.inspect(images[-1].read_bytes(), "?map=png")
    picture = decode_image(base64.b64decode(answer["map"]["base64"]))
    assert picture.ndim == 3
    assert picture.shape[0] % scored.shape[0] == 0
    assert answer["record"]["regions"]


def test_facts_health_and_drift(service: Any, images: Sequence[Path]) -> None:
    document = json.loads(service.request("GET", "/openapi.json")[2])
    for path, expected in (("/healthz", "ok"), ("/readyz", "ready")):
        status, headers, body = service.request("GET", path)
        assert (status, json.loads(body)) == (200, {"status": expected})
        assert "server" not in headers
    for number in range(25):
        service.inspect(images[number % 5].read_bytes())  # the same five: no line looks like that
    for path in ("/v1/model", "/v1/drift"):
        status, headers, body = service.request("GET", path)
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator(schema).validate(json.loads(body))
        assert headers["cache-control"] == "no-store"
    state = json.loads(body)["categories"]["brick"]
    assert state["windows"] >= 1
    assert {one["name"] for one in state["latest"]["statistics"]} >= {"score", "brightness"}


SAMPLE = re.compile(r'^[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? [-+0-9.eInf]+$')


def test_metrics_are_in_the_format_of_prometheus(service: Any, images: Sequence[Path]) -> None:
    service.inspect(images[0].read_bytes())
    service.inspect(b"no image")
    status, headers, body = service.request("GET", "/metrics")
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = body.decode()
    assert text.endswith("\n")
    known, values = set(), {}
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            assert what in ("HELP", "TYPE")
            if what == "TYPE":
                assert name not in known
                assert rest in ("counter", "gauge", "histogram")
                known.add(name)
            continue
        assert SAMPLE.match(line), line
        name, _, value = line.rpartition(" ")
        assert name not in values
        values[name] = float(value)
        plain = name.partition("{")[0]
        assert plain in known or re.sub("_(bucket|sum|count)$", "", plain) in known
    assert values['pyimgano_requests_total{status="200"}'] >= 1
    assert values['pyimgano_requests_total{status="422"}'] >= 1
    assert values['pyimgano_images_total{category="brick",outcome="error"}'] >= 1
    assert values["pyimgano_queue"] == 0
    assert values["pyimgano_queue_limit"] == 16
    count = sum(value for name, value in values.items() if name.startswith("pyimgano_requests_total"))
    assert values["pyimgano_request_seconds_count"] == count
    assert values['pyimgano_request_seconds_bucket{le="+Inf"}'] == count
    buckets = [value for name, value in values.items() if name.startswith("pyimgano_request_seconds_bucket")]
    assert buckets == sorted(buckets)


def test_the_page_loads_nothing_from_anywhere(service: Any) -> None:
    status, headers, body = service.request("GET", "/docs")
    text = body.decode()
    assert status == 200
    assert headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "<script" not in text
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", text)
    assert "POST /v1/inspect" in text


def test_a_key_is_asked_for_where_there_is_one(two: Any, images: Sequence[Path]) -> None:
    content, path = images[0].read_bytes(), "/v1/inspect?category=brick"
    png = {"Content-Type": "image/png"}
    for headers in ({}, {"X-API-Key": "another"}, {"Authorization": "Basic a key"}, {"X-API-Key": "a key "[:4]}):
        status, answered, body = two.request("POST", path, content, {**png, **headers})
        assert (status, json.loads(body)["error"]["code"]) == (401, "unauthorised")
        assert answered["www-authenticate"] == "Bearer"
    for headers in ({"X-API-Key": "a key"}, {"Authorization": "Bearer a key"}):
        assert two.request("POST", path, content, {**png, **headers})[0] == 200
    assert [two.request("GET", place)[0] for place in ("/v1/model", "/v1/drift", "/metrics")] == [401] * 3
    assert [two.request("GET", place)[0] for place in ("/healthz", "/readyz", "/docs", "/openapi.json")] == [200] * 4
    assert "a key" not in two.log
    document = json.loads(two.request("GET", "/openapi.json")[2])
    assert document["paths"]["/v1/inspect"]["post"]["security"]


def test_of_several_categories_one_must_be_named(two: Any, images: Sequence[Path]) -> None:
    key = {"Content-Type": "image/png", "X-API-Key": "a key"}
    found = {}
    for category in ("brick", "grass"):
        status, _, body = two.request("POST", f"/v1/inspect?category={category}", images[0].read_bytes(), key)
        assert status == 200
        found[category] = json.loads(body)["record"]
        assert found[category]["category"] == category
    assert found["brick"]["score"] != found["grass"]["score"]
    status, _, body = two.request("POST", "/v1/inspect", images[0].read_bytes(), key)
    assert (status, json.loads(body)["error"]["allowed"]) == (422, "brick, grass")
    status, _, body = two.request("POST", "/v1/inspect?category=brick&id=1", images[0].read_bytes(), key)
    assert status == 422
    assert json.loads(body)["error"]["hint"] == "start it with --records"


def test_a_client_that_hangs_up_costs_nobody_else_anything(service: Any, images: Sequence[Path]) -> None:
    for _ in range(20):  # more than may wait
        with socket.create_connection((service.host, service.port)) as client:
            head = "POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 50000\r\n\r\n"
            client.sendall(head.encode() + b"x" * 100)
    end = time.monotonic() + 30
    while b"\npyimgano_queue 0\n" not in service.request("GET", "/metrics")[2]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert service.inspect(images[0].read_bytes())[0] == 200
    assert "Traceback" not in service.log


def test_a_port_that_is_taken_and_other_mistakes_are_told(service: Any, run: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())"]
    (tmp_path / "empty").touch()
    for options, code, text in (
        (["--port", str(service.port)], 2, "--port 0 takes one that is free"),
        (["--host", "no.such.host.invalid"], 2, "unknown address"),
        (["--records", str(tmp_path / "none" / "r.jsonl")], 2, "there is no such folder"),
        (["--api-key-file", str(tmp_path / "empty")], 2, "the secret is empty"),
        (["--category", "wood"], 2, "no category 'wood'"),
    ):
        done = subprocess.run(
            [*program, "bundle", "serve", str(run), *options],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
            env={name: value for name, value in os.environ.items() if name != "PYIMGANO_API_KEY"},
        )
        assert (done.returncode, text in done.stderr) == (code, True), done.stderr
