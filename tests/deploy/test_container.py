"""What the image promises: who it runs as, what it may do and write, what it holds, and what it does not hold."""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.images import DOCKER, ROW, build, derived, source_of
from tests.deploy.running import PEGBOARD, ROOT, run, surroundings, wait_for
from tests.deploy.services import ended, free_port

LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")
NAME = "pegboard-container-test"
#: What must not be in the words of a layer.
SECRETS = re.compile(
    r"(?i)(password|secret|token|api[_-]?key)\w*\s*[=:]\s*\S|\bAKIA[0-9A-Z]{16}\b|BEGIN [A-Z ]*PRIVATE KEY"
)


@dataclass(frozen=True)
class Built:
    """An image that `image/build.sh` has made, and the registry that its bundle went into first."""

    tag: str
    registry: Path
    made: Path

    def labels(self) -> Mapping[str, str]:
        return dict(_inspected(self.tag)["Config"]["Labels"])


@pytest.fixture(scope="module")
def built(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    directory = tmp_path_factory.mktemp("image")
    registry, source = directory / "registry", source_of(directory / "source", {})
    return Built(build(source, NAME, _settings(registry)), registry, source / "build" / "image")


def _settings(registry: Path) -> dict[str, str]:
    return surroundings(PEGBOARD_REGISTRY=str(registry), DOCKER=DOCKER, PEGBOARD=str(PEGBOARD))


def _inspected(tag: str) -> dict[str, Any]:
    return dict(json.loads(run(DOCKER, "image", "inspect", tag).stdout)[0])


def _inside(tag: str, *command: str, expected: int | None = 0) -> str:
    done = run(DOCKER, "run", "--rm", "--network", "none", *LOCKED, "--entrypoint", command[0], tag, *command[1:],
               expected=expected)  # fmt: skip
    return done.stdout + done.stderr


@contextmanager
def _running(tag: str, *options: str, arguments: tuple[str, ...] = ()) -> Iterator[str]:
    container = run(DOCKER, "run", "--detach", *LOCKED, *options, tag, *arguments).stdout.strip()
    try:
        yield container
    finally:
        run(DOCKER, "rm", "--force", container)


def _asked(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or "null")
    finally:
        connection.close()


def _health(container: str) -> str:
    return run(DOCKER, "inspect", "--format", "{{.State.Health.Status}}", container).stdout.strip()


def _port(container: str, inner: int = 5000) -> int:
    return int(run(DOCKER, "port", container, str(inner)).stdout.splitlines()[0].rsplit(":", 1)[1])


def test_it_serves_locked_up_and_its_own_client_finds_it_healthy(built: Built) -> None:
    with _running(built.tag, "--publish", "127.0.0.1::5000") as container:
        wait_for("it is healthy", lambda: _health(container) == "healthy")
        status, answer = _asked(_port(container), "POST", "/predict", [ROW])

        assert (status, len(answer["predictions"])) == (200, 1)
        assert f"{answer['model']}/{answer['version']}" == _version(built)


def _version(built: Built) -> str:
    labels = built.labels()
    return f"{labels['pegboard.model']}/{labels['pegboard.version']}"


def test_a_server_that_does_not_answer_is_unhealthy(built: Built) -> None:
    said = _inside(built.tag, "python", "-m", "pegboard_serve.health", expected=1)

    assert "127.0.0.1:5000" in said


def test_it_is_nobody_with_no_capability_and_writes_nothing_but_tmp(built: Built) -> None:
    who = _inside(
        built.tag, "sh", "-c", "id -u; id -g; grep CapEff /proc/self/status; touch /tmp/x; touch /opt/x || true"
    )

    assert who.split()[:4] == ["10001", "10001", "CapEff:", "0000000000000000"]
    assert "Read-only file system" in who


def test_no_program_in_it_gets_more_rights_than_its_caller(built: Built) -> None:
    search = ("sh", "-c", "find / -xdev -type f -perm /6000 2>/dev/null || true")
    worse = derived(built.tag, f"{NAME}:setuid", "USER 0\nRUN chmod u+s /bin/su\nUSER 10001:10001")

    assert _inside(built.tag, *search).strip() == ""
    assert "/su" in _inside(worse, *search), "the search sees nothing"


def test_no_layer_tells_a_secret(built: Built) -> None:
    worse = derived(built.tag, f"{NAME}:secret", "ENV AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI")

    assert SECRETS.findall(_history(built.tag)) == []
    assert SECRETS.findall(_history(worse)) != [], "the search sees nothing"


def _history(tag: str) -> str:
    return run(DOCKER, "history", "--no-trunc", "--format", "{{.CreatedBy}}", tag).stdout


def test_it_holds_what_serving_needs_and_nothing_else(built: Built) -> None:
    assert _importable(built.tag, "pegboard_serve", "sklearn", "boto3", "cryptography") == ["True"] * 4
    absent = ("great_expectations", "matplotlib", "pyarrow", "pip", "setuptools", "pytest")
    assert _importable(built.tag, *absent) == ["False"] * len(absent)
    compilers = "command -v gcc cc g++ make ld || true"
    assert _inside(built.tag, "sh", "-c", compilers).strip() == ""


def _importable(tag: str, *modules: str) -> list[str]:
    script = """if True:
        import importlib.util, sys
        for module in sys.argv[1:]:
            print(importlib.util.find_spec(module) is not None)
    """
    return _inside(tag, "/opt/venv/bin/python", "-c", script, *modules).split()


def test_everything_is_compiled_before_it_starts(built: Built) -> None:
    count = "cd {}; find . -name '*.py' | wc -l; find . -name '*.pyc' | wc -l"
    own = "$(dirname $(python -c 'import os; print(os.__file__)'))/json"
    for place, least in (("/opt/venv/lib/python3*/site-packages", 1000), (own, 4)):
        sources, compiled = map(int, _inside(built.tag, "sh", "-c", count.format(place)).split())
        assert sources > least
        assert compiled > 0.95 * sources


def test_its_labels_say_what_the_ledger_says(built: Built) -> None:
    labels = built.labels()
    listed = json.loads(run(PEGBOARD, "models", "list", "--json", environment=_settings(built.registry)).stdout)
    known = {str(row["number"]): row["digest"] for row in listed if row["name"] == labels["pegboard.model"]}
    held = _inside(built.tag, "sh", "-c", "sha256sum /opt/pegboard/bundle/*/manifest.json").split()[0]

    assert known[labels["pegboard.version"]] == labels["pegboard.bundle"] == held
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert built.tag == f"{NAME}:{labels['org.opencontainers.image.revision'][:12]}-{_version(built).replace('/', '-')}"


def test_the_bill_of_materials_lists_what_is_installed(built: Built) -> None:
    bill = json.loads((built.made / "sbom.json").read_text())
    listed = {part["name"].lower(): part["version"] for part in bill["components"]}
    script = """if True:
        from importlib.metadata import distributions
        for found in distributions():
            print(found.metadata["Name"].lower(), found.version)
    """
    installed = dict(line.split() for line in _inside(built.tag, "/opt/venv/bin/python", "-c", script).splitlines())

    assert listed == installed
    assert {"pegboard-serve", "scikit-learn"} <= set(listed)
    # What attests it on GitHub knows a CycloneDX file by these.
    assert {"bomFormat", "serialNumber", "specVersion"} <= set(bill)


def test_its_first_argument_may_be_serve_and_its_port_another_one(built: Built) -> None:
    """As SageMaker starts a container, and asks it."""
    options = ("--env", "PEGBOARD_SERVE_PORT=8080", "--publish", "127.0.0.1::8080")
    assert _inspected(built.tag)["Config"]["Entrypoint"] == ["pegboard"]

    with _running(built.tag, *options, arguments=("serve",)) as container:
        wait_for("it is healthy", lambda: _health(container) == "healthy")
        port = _port(container, 8080)
        assert _asked(port, "GET", "/ping")[0] == 200
        assert _asked(port, "POST", "/invocations", {"dataframe_records": [ROW]})[0] == 200


def test_it_ends_by_itself_when_it_is_stopped(built: Built) -> None:
    with _running(built.tag) as container:
        wait_for("it is healthy", lambda: _health(container) == "healthy")
        run(DOCKER, "stop", "--time", "20", container)
        status = run(DOCKER, "inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()

    assert status == "0", "137 is killed"


def test_it_serves_from_a_registry_instead(built: Built, s3_server: str, tmp_path: Path) -> None:
    """`-e PEGBOARD_MODEL=s3://…@production` serves what an alias points at, and not the bundle inside."""
    settings = {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1", "PEGBOARD_CACHE": str(tmp_path),
    }  # fmt: skip
    registry, environment = "s3://served/registry", surroundings(**settings)
    python = "import boto3; boto3.client('s3').create_bucket(Bucket='served')"
    run(sys.executable, "-c", python, environment=environment)
    for _ in range(2):
        run(PEGBOARD, "models", "import", built.made / "bundle", "--registry", registry, environment=environment)
    promotion = ("promote", "house-prices/1", "--to", "staging", "--force", "--reason", "a test")
    run(PEGBOARD, "models", *promotion, "--registry", registry, environment=environment)
    port = "5871"
    given = {**{key: value for key, value in settings.items() if key != "PEGBOARD_CACHE"}, "PEGBOARD_SERVE_PORT": port,
             "PEGBOARD_SERVE_HOST": "127.0.0.1", "PEGBOARD_MODEL": f"{registry}/house-prices@staging"}  # fmt: skip

    options = [word for key, value in given.items() for word in ("--env", f"{key}={value}")]
    with _running(built.tag, "--network", "host", *options) as container:
        wait_for("it is healthy", lambda: _health(container) == "healthy")
        assert _asked(int(port), "GET", "/model")[1]["aliases"] == ["staging"]


def test_prometheus_finds_what_compose_has_told_it_of(built: Built, tmp_path: Path) -> None:
    """Debian's Prometheus, unpacked and not installed, with the configuration that compose.yaml gives it."""
    run("apt-get", "-qq", "download", "prometheus", cwd=tmp_path)
    run("dpkg-deb", "-x", next(tmp_path.glob("prometheus_*.deb")), tmp_path / "unpacked")
    given = (ROOT / "image/prometheus.yml").read_text()
    assert given.count("app:5000") == 1
    with _running(built.tag, "--publish", "127.0.0.1::5000") as container:
        wait_for("it is healthy", lambda: _health(container) == "healthy")
        port, own = _port(container), free_port("127.0.0.1")
        (tmp_path / "prometheus.yml").write_text(given.replace("app:5000", f"127.0.0.1:{port}"))
        _asked(port, "POST", "/predict", [ROW])
        command = ("unpacked/usr/bin/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                   f"--web.listen-address=127.0.0.1:{own}")  # fmt: skip
        with ended(tmp_path / "log", tmp_path / command[0], *command[1:], cwd=tmp_path):
            wait_for("it has counted the request", lambda: _counted(own) == {"/predict": 1.0})


def _counted(port: int) -> dict[str, float]:
    try:
        _, answer = _asked(port, "GET", "/api/v1/query?query=pegboard_request_total")
    except (OSError, ValueError, http.client.HTTPException):  # not ready yet: it says so in plain text
        return {}
    return {row["metric"]["route"]: float(row["value"][1]) for row in answer["data"]["result"]}


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        pytest.param(
            {"pegboard.toml": ("[environments.image.gate]\n", "[environments.image.gate]\nmax_size_mib = 0.01\n")},
            "at most 0.01 MiB", id="gate",
        ),
        pytest.param(
            {
                "pegboard.toml": ("seed = 0\n", 'seed = 0\n\n[source]\npath = "LICENSE"\n'),
            },
            "LICENSE", id="data",
        ),
    ],
)  # fmt: skip
def test_what_does_not_pass_makes_no_image_and_no_version(
    engine: str, built: Built, tmp_path: Path, edits: dict[str, tuple[str, str]], reason: str
) -> None:
    source, registry = source_of(tmp_path / "source", edits), tmp_path / "registry"
    name = f"{NAME}-refused"

    done = run(source / "image/build.sh", name, cwd=source, environment=_settings(registry), expected=None)

    assert done.returncode != 0
    assert done.stdout == ""
    assert reason in done.stderr
    assert not registry.exists()
    assert run(DOCKER, "images", "-q", name).stdout == ""


def test_packages_of_the_system_are_there_to_train_and_to_serve(engine: str) -> None:
    """LightGBM wants libgomp in either stage; both begin where it is put in."""
    for packages, status in (("", 1), ("libgomp1", 0)):
        image = run(DOCKER, "build", "-q", "--target", "base", "--build-arg", f"PACKAGES={packages}", ".",
                    environment=surroundings(DOCKER_BUILDKIT="1")).stdout.strip()  # fmt: skip
        load = ("python", "-c", "import ctypes; ctypes.CDLL('libgomp.so.1')")
        run(DOCKER, "run", "--rm", "--network", "none", image, *load, expected=status)

    begins = re.findall(r"^FROM (\S+) AS (installed|serve)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert begins == [("base", "installed"), ("base", "serve")]


def test_without_a_registry_to_take_the_bundle_there_is_no_image(built: Built, tmp_path: Path) -> None:
    source = source_of(tmp_path / "source", {})
    (tmp_path / "file").touch()
    name = f"{NAME}-unregistered"

    done = run(source / "image/build.sh", name, cwd=source, environment=_settings(tmp_path / "file"), expected=None)

    assert done.returncode != 0
    assert run(DOCKER, "images", "-q", name).stdout == ""


@pytest.mark.parametrize("name", ["Pegboard", "pegboard:1", "host/pegboard/"])
def test_a_name_that_is_none_is_refused_before_anything_is_built(name: str, tmp_path: Path) -> None:
    done = run(ROOT / "image/build.sh", name, environment=_settings(tmp_path / "registry"), expected=1)

    assert "is not a repository's name" in done.stderr
    assert not (tmp_path / "registry").exists()


def test_what_no_ledger_knows_is_not_pushed(built: Built) -> None:
    anonymous = derived(built.tag, f"{NAME}:anonymous", 'LABEL pegboard.bundle=""')

    done = run(ROOT / "image/push.sh", anonymous, environment=_settings(built.registry), expected=1)

    assert "does not say which bundle it holds" in done.stderr
