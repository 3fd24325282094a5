"""From ``terraform apply`` to a rolling deploy with a way back, on one machine, under load all the time.

The tests are the phases of one story and run in this order. A reader follows docs/deploy.md line by line, from an
account of AWS to two hosts that serve, and in the end back, and away; between them an operator goes through what the
page does not show. ``v1`` and ``v2`` are images of two trainings, built by the project's own Dockerfile.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.chain import Chain, session_manager, stand_in, whole_chain
from tests.deploy.conftest import PHASES
from tests.deploy.images import DOCKER, ROW, Image, build, derived, push, source_of
from tests.deploy.plays import Play
from tests.deploy.running import ROOT, run, wait_for
from tests.deploy.trickle import trickled

ONE, TWO = HOSTS = "pegboard-staging-1", "pegboard-staging-2"

# It says that it holds what its base holds, and does not start.
BROKEN = "ENV PEGBOARD_MODEL=bundle:/nowhere"
# It is ready, names the right version and the right digest, and answers 1 % too much.
DISAGREES = r"""
USER 0
RUN cd /opt/venv/lib/python3*/site-packages/pegboard_serve/protocols && \
    sed -i 's/{"predictions": answers.values}/{"predictions": [1.01 * v for v in answers.values]}/' native.py && \
    grep -q '1.01' native.py && rm -rf __pycache__
USER 10001:10001"""


@pytest.fixture(scope="module")
def chain(engine: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Chain]:
    with whole_chain(tmp_path_factory.mktemp("chain")) as chain:
        request.config.stash[PHASES] = chain.load.phases
        yield chain


@pytest.fixture(scope="module")
def v1(chain: Chain) -> Image:
    """The image that the page's fifth step has made and pushed."""
    tag = chain.reader.types('echo "$image"').strip()
    return Image(chain.reader.said("5").splitlines()[-1], _version(tag))


@pytest.fixture(scope="module")
def v2(chain: Chain, v1: Image) -> Image:
    """The image of another training: the straight line alone competes."""
    return _image(chain, "v2", {"pegboard.toml": ("folds = 5\n", 'folds = 5\nmodels = ["linear-regression"]\n')})


def _image(chain: Chain, name: str, edits: Mapping[str, tuple[str, str]]) -> Image:
    tag = build(source_of(chain.work / name, edits), f"{chain.images.address}/pegboard-staging", chain.environment)
    return Image(push(tag, chain.environment), _version(tag))


def _version(tag: str) -> str:
    labels = json.loads(run(DOCKER, "image", "inspect", tag, "--format", "{{json .Config.Labels}}").stdout)
    return f"{labels['pegboard.model']}/{labels['pegboard.version']}"


def _variant(chain: Chain, image: Image, name: str, lines: str) -> Image:
    tag = derived(image.reference, f"{chain.images.address}/pegboard-staging:{name}", lines)
    return Image(push(tag, chain.environment), image.version)


def _deploy(chain: Chain, image: Image, *settings: str, fails: bool = False, laid_over: Any = None) -> Play:
    over = chain.work / "over.yml"
    over.write_text(json.dumps({"pegboard": laid_over or {"vars": {}}}))
    return chain.operator.make(
        "deploy", f"IMAGE={image.reference}", f"VERSION={image.version}", *settings, fails=fails, over=over
    )


def _changed_nothing(play: Play) -> None:
    assert {host: play.changed[host] for host in HOSTS} == {ONE: 0, TWO: 0}


def _at(chain: Chain, when: datetime | None = None) -> dict[str, str | None]:
    """Return what the ledger says that each host served at a time."""
    told = chain.operator.pegboard("models", "at", (when or datetime.now(UTC)).isoformat())
    return {row["host"]: row["version"] for row in told["machines"]}


def _both(image: Image) -> dict[str, str]:
    return dict.fromkeys(HOSTS, image.version)


def _refused(chain: Chain, image: Image, task: str, *reasons: str, settings: tuple[str, ...] = ()) -> None:
    """Deploy what the gate must refuse on the first host, and see that clients have noticed nothing."""
    before, recorded = chain.serves(), _at(chain)
    with chain.load.during(f"refused: {task}") as seen:
        play = _deploy(chain, image, *settings, fails=True)

    assert f'{ONE}: task "{task}" failed' in play.said
    assert [reason for reason in reasons if reason not in play.said] == []
    assert "put back: " in play.said
    assert not seen.failures
    assert set(seen.versions) == set(before.values())
    assert chain.serves() == before
    assert _at(chain) == recorded
    wait_for("both hosts are in the balancer", lambda: chain.balancer.servers() == dict.fromkeys(HOSTS, "UP"))


def test_terraform_has_made_the_machines_and_finds_no_drift(chain: Chain) -> None:
    assert chain.cloud.plan() is False, "a second plan would change something"
    assert [name for name in HOSTS if name not in chain.hosts_cfg.read_text()] == []


def test_only_keys_that_consoles_have_shown_are_trusted(chain: Chain) -> None:
    said = chain.reader.said("4")
    fingerprints = [run("ssh-keygen", "-lf", chain.work / "consoles" / one).stdout.split()[1]
                    for one in chain.cloud.outputs()["instance_ids"]]  # fmt: skip

    assert [one for one in fingerprints if one not in said] == []


def test_hosts_are_empty_before_the_first_deploy(chain: Chain) -> None:
    assert [row["state"] for row in _status(chain)] == ["empty", "empty"]


def _status(chain: Chain) -> list[dict[str, Any]]:
    written = chain.work / "status.json"
    chain.operator.make("status", f"ARGS=-e pegboard_status_file={written}")
    return list(json.loads(written.read_text()))


def test_the_first_deploy_installs_the_engine_and_serves_everywhere(chain: Chain, v1: Image) -> None:
    """As the page does it: engine, the image by the machine's own role, behind AWS's balancer, and a prediction."""
    said = chain.reader.follow("6", {"sha256:…": v1.reference.split("@")[1], "house-prices/1": v1.version})

    assert '"predictions":[' in said.splitlines()[-1]
    assert chain.serves() == _both(v1)
    wait_for("both hosts are in the balancer", lambda: set(chain.balancer.servers().values()) == {"UP"})
    assert chain.load.ask() == ("version", v1.version)
    assert _at(chain) == _both(v1)


def test_the_page_shows_what_serves(chain: Chain, v1: Image) -> None:
    now = datetime.now(UTC).isoformat()

    said = chain.reader.follow("7", {"2026-11-17T14:05": now, "house-prices/1": v1.version})

    assert [host for host in HOSTS if said.count(host) < 3] == []
    assert "deregistered" not in said


def test_hosts_have_pulled_with_their_role(chain: Chain, v1: Image) -> None:
    """ECR's own helper has asked, with what the machine's metadata say."""
    assert "ecr:GetAuthorizationToken" in chain.cloud.asked()
    for host in HOSTS:
        assert "docker-credential-ecr-login" in chain.inside(host, "dpkg", "-L", "amazon-ecr-credential-helper")


def test_a_second_run_changes_nothing(chain: Chain, v1: Image) -> None:
    with chain.load.during("second run") as seen:
        play = _deploy(chain, v1)

    _changed_nothing(play)
    assert not seen.failures


def test_a_rollback_without_anything_before_changes_nothing_and_says_so(chain: Chain, v1: Image) -> None:
    play = chain.operator.make("rollback", fails=True)

    assert [f"{host} was left out: it has served nothing before" for host in HOSTS if host not in play.said] == []
    assert "nothing to go back to" in play.said
    assert chain.serves() == _both(v1)


def test_the_container_is_locked_up(chain: Chain) -> None:
    for host in HOSTS:
        container = chain.container(host)
        how = container["HostConfig"]
        assert container["Config"]["User"] == "10001:10001"
        assert how["ReadonlyRootfs"]
        assert how["CapDrop"] == ["ALL"]
        assert how["SecurityOpt"] == ["no-new-privileges:true"]
        assert (how["Memory"], how["MemorySwap"], how["PidsLimit"]) == (2**30, 2**30, 256)
        assert how["RestartPolicy"]["Name"] == "unless-stopped"
        assert how["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def test_no_password_stays_on_a_host(chain: Chain) -> None:
    for host in HOSTS:
        for place in ("/root/.docker", "/home/ubuntu/.docker", "/run/pegboard-login"):
            run(DOCKER, "exec", stand_in(host), "test", "!", "-e", place)


def test_a_rolling_update_loses_no_request(chain: Chain, v1: Image, v2: Image) -> None:
    with chain.load.during("rolling update") as seen:
        _deploy(chain, v2, "REASON=a straight line")

    assert not seen.failures
    assert set(seen.versions) == {v1.version, v2.version}
    assert chain.serves() == _both(v2)


def test_the_smoke_test_passes_where_the_version_serves_also_through_the_balancer(chain: Chain, v2: Image) -> None:
    play = chain.operator.make("smoke", f"VERSION={v2.version}", f"URL=http://127.0.0.1:{chain.balancer.port}")

    assert "ready" in play.said
    assert v2.version in play.said


def test_the_smoke_test_names_the_hosts_that_serve_something_else(chain: Chain, v1: Image, v2: Image) -> None:
    play = chain.operator.make("smoke", f"VERSION={v1.version}", fails=True)

    table, _, verdict = play.said.partition(f"{v1.version} is expected of every host")
    assert "previous" in table
    assert [host for host in HOSTS if f"{host}: {v2.version}, ready" not in verdict] == []


def test_hosts_are_reached_over_session_manager(chain: Chain, v2: Image) -> None:
    """ssh's configuration, the keys and the inventory fit; what AWS does between is played by a program."""
    path, home = session_manager(chain)
    script = ROOT / "ansible" / "session-manager.sh"
    chain.operator.run(script, PATH=path, HOME=home, PEGBOARD_SSH_KEY=(chain.work / "key").read_text())

    play = chain.operator.make("smoke", f"VERSION={v2.version}", "OVER=session-manager", PATH=path, HOME=home)

    asked = (chain.work / "session-manager" / "asked").read_text()
    assert "ready" in play.said
    assert [one for one in chain.cloud.outputs()["instance_ids"] if f"--target {one} " not in asked] == []
    chain.operator.run(script, "--remove", PATH=path, HOME=home)
    assert list((Path(home) / ".ssh").iterdir()) == []


def test_without_draining_clients_see_failures(chain: Chain, v1: Image) -> None:
    """The control: the load loop can see what draining prevents."""
    with chain.load.during("control: no draining") as seen:
        _deploy(chain, v1, laid_over={"vars": {"pegboard_balancer": "none"}})

    assert seen.failures.total() > 0
    assert chain.serves() == _both(v1)
    wait_for("both hosts are in the balancer", lambda: set(chain.balancer.servers().values()) == {"UP"})


def test_an_image_that_does_not_start_is_rolled_back(chain: Chain, v2: Image) -> None:
    broken = _variant(chain, v2, "broken", BROKEN)
    _refused(
        chain, broken, "Wait until it is ready", "/nowhere",
        settings=("ARGS=-e pegboard_serve_ready_retries=30",),
    )  # fmt: skip


def test_an_image_whose_label_names_another_bundle_is_not_rolled_at_all(chain: Chain, v1: Image, v2: Image) -> None:
    before = chain.serves()

    play = _deploy(chain, Image(v2.reference, v1.version), fails=True)

    assert "Nothing was rolled" in play.said
    assert chain.serves() == before


def test_a_wrong_bundle_is_rolled_back(chain: Chain, v2: Image) -> None:
    """The right name and number, and another digest. Labels are not believed here: the server itself is asked."""
    other = "0" * 64
    settings = f"ARGS=-e pegboard_serve_check_labels=false -e pegboard_bundle_digest={other}"
    _refused(chain, v2, "Check which version it is", f"with {other} is expected", settings=(settings,))


def test_an_image_whose_replay_disagrees_is_rolled_back(chain: Chain, v2: Image) -> None:
    disagrees = _variant(chain, v2, "disagrees", DISAGREES)
    _refused(chain, disagrees, "Compare the predictions", "replayed predictions differ")


# The second host alone cannot be asked: its container listens where nobody looks.
DEAF = {"hosts": {TWO: {"pegboard_serve_env": {"PEGBOARD_SERVE_PORT": "5999"}}}}
QUICK = "-e pegboard_serve_ready_retries=30"


def test_hosts_done_before_another_failed_go_back_when_they_are_told_to(chain: Chain, v1: Image, v2: Image) -> None:
    settings = f"ARGS={QUICK} -e pegboard_on_failure=return_all"
    with chain.load.during("second host fails, all return") as seen:
        play = _deploy(chain, v2, settings, fails=True, laid_over=DEAF)

    assert f'{TWO}: task "Wait until it is ready" failed' in play.said
    assert not seen.failures
    assert chain.serves() == _both(v1)
    assert _at(chain) == _both(v1)


def test_hosts_done_before_another_failed_keep_the_new_one_otherwise(chain: Chain, v1: Image, v2: Image) -> None:
    with chain.load.during("second host fails, first keeps") as seen:
        _deploy(chain, v2, f"ARGS={QUICK}", fails=True, laid_over=DEAF)

    assert not seen.failures
    assert chain.serves() == {ONE: v2.version, TWO: v1.version}
    assert _at(chain) == {ONE: v2.version, TWO: v1.version}


def test_no_step_back_is_taken_from_different_places(chain: Chain, v1: Image, v2: Image) -> None:
    """Each would go to what it served before: the good one too far."""
    play = chain.operator.make("rollback", fails=True)

    assert f"make rollback TO={v1.version}" in play.said
    assert chain.serves() == {ONE: v2.version, TWO: v1.version}


def test_hosts_that_roll_together_go_back_together(chain: Chain, v1: Image, v2: Image) -> None:
    chain.operator.make("rollback", f"ARGS=-e pegboard_rollback_to={v1.version}")
    assert chain.serves() == _both(v1)
    play = _deploy(chain, v2, f"ARGS={QUICK} -e pegboard_serial=2", fails=True, laid_over=DEAF)

    assert f'{TWO}: task "Wait until it is ready" failed' in play.said
    assert "put back: " in play.said
    assert chain.serves() == _both(v1)
    wait_for("both hosts are in the balancer", lambda: set(chain.balancer.servers().values()) == {"UP"})


def test_an_unreachable_host_does_not_keep_the_other_back(chain: Chain, v1: Image, v2: Image) -> None:
    chain.inside(ONE, "systemctl", "stop", "ssh")
    chain.operator.hang_up(chain.hosts[ONE])
    try:
        with chain.load.during("first host unreachable") as seen:
            play = _deploy(chain, v2, fails=True)
    finally:
        chain.inside(ONE, "systemctl", "start", "ssh")

    assert f"{ONE} was left out: unreachable" in play.said
    assert not seen.failures
    assert chain.serves() == {ONE: v1.version, TWO: v2.version}
    _deploy(chain, v2)
    assert chain.serves() == _both(v2)


def test_rollback_follows_the_alias(chain: Chain, v1: Image, v2: Image) -> None:
    """Where the registry was rolled back, the machines go there too; the ledger says when, and why."""
    before = datetime.now(UTC)
    for image in (v1, v2):
        chain.operator.pegboard("models", "promote", image.version, "--to", "staging", "--force", "--reason", "test")
    chain.operator.pegboard("models", "rollback", "staging")

    with chain.load.during("rollback to the alias") as seen:
        chain.operator.make(
            "rollback", "REASON=new houses are 9 % off, it's $HOME", "ARGS=-e pegboard_rollback_to=alias"
        )

    assert not seen.failures
    assert set(seen.versions) == {v1.version, v2.version}
    assert chain.serves() == _both(v1)
    assert (_at(chain, before), _at(chain)) == (_both(v2), _both(v1))
    reasons = {row["reason"] for row in chain.operator.pegboard("models", "history") if row["action"] == "deployed"}
    assert "new houses are 9 % off, it's $HOME" in reasons


def _asked(address: str) -> int:
    connection = http.client.HTTPConnection(address, 5000, timeout=10)
    connection.request("POST", "/predict", json.dumps([ROW]), {"Content-Type": "application/json"})
    return connection.getresponse().status


def test_a_scheduled_job_runs_in_the_image_that_serves(chain: Chain, v2: Image) -> None:
    jobs = {"vars": {"pegboard_jobs": [{"name": "look", "calendar": "daily", "command": "models --help"}]}}
    _deploy(chain, v2, laid_over=jobs)

    chain.inside(ONE, "systemctl", "start", "pegboard-job@look.service")
    wait_for(
        "the journal has what the job said",
        lambda: "List, show, compare" in chain.inside(ONE, "journalctl", "-u", "pegboard-job@look.service"),
    )
    assert "pegboard-job@look.timer" in chain.inside(ONE, "systemctl", "list-timers", "--all")
    _changed_nothing(_deploy(chain, v2, laid_over=jobs))
    assert chain.serves() == _both(v2)


def test_rollback_brings_all_hosts_back_while_the_registry_is_away(chain: Chain, v1: Image, v2: Image) -> None:
    """From what the hosts themselves remember; what could not be written down is, with the next run, as of then."""
    with chain.load.during("rollback, registry away") as seen:
        play = chain.operator.make("rollback", fails=True, AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert "The registry did not answer" in play.said
    assert [f"{host}: task" for host in HOSTS if f'{host}: task "Record the deployment' not in play.said] == []
    assert not seen.failures
    assert set(seen.versions) == {v1.version, v2.version}
    assert chain.serves() == _both(v1)
    assert _at(chain) == _both(v2)
    meanwhile = datetime.now(UTC)

    chain.operator.make("rollback", f"ARGS=-e pegboard_rollback_to={v1.version}")
    assert _at(chain) == _at(chain, meanwhile) == _both(v1)
    assert "pegboard-job@look.timer" not in chain.inside(ONE, "systemctl", "list-timers", "--all")


def test_the_proxy_cuts_off_who_trickles_and_who_asks_too_often(chain: Chain, v1: Image) -> None:
    address = chain.hosts[ONE]
    assert trickled(address, 5000, 8) is None, "without a proxy, a trickle is waited for"
    proxy = {"vars": {"pegboard_proxy": True, "pegboard_serve_proxy_timeout": "3s", "pegboard_serve_proxy_rate": 50}}

    _deploy(chain, v1, laid_over=proxy)

    cut_off = trickled(address, 5000, 20)
    assert cut_off is not None
    assert cut_off < 10
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: _asked(address), range(200)))
    assert set(answers) == {200, 429}
    _changed_nothing(_deploy(chain, v1, laid_over=proxy))

    chain.operator.make("rollback")
    assert trickled(address, 5000, 5) is None, "how the container was before comes back too"
    assert chain.serves() == _both(v1)


def test_the_page_brings_the_hosts_back_at_night(chain: Chain, v1: Image, v2: Image) -> None:
    before = chain.serves()
    _deploy(chain, v2)

    chain.reader.follow("back")

    assert chain.serves() == before == _both(v1)
    assert _at(chain) == _both(v1)


def _locks(chain: Chain) -> list[str]:
    return [chain.inside(host, "find", "/run", "-maxdepth", "1", "-name", "pegboard-roll") for host in HOSTS]


def test_a_second_run_is_refused_while_one_has_the_hosts(chain: Chain, v1: Image) -> None:
    assert _locks(chain) == ["", ""]
    somebody = "anna@laptop 4711 2026-11-17T14:05:00+00:00 5f1c09aa"
    chain.inside(TWO, "ln", "-s", somebody, "/run/pegboard-roll")

    play = chain.operator.make("rollback", fails=True)

    assert f"{TWO}: anna@laptop (process 4711) since 2026-11-17T14:05:00+00:00" in play.said
    assert chain.serves() == _both(v1)
    chain.operator.make("rollback", f"TO={v1.version}", "BREAK_LOCK=true")
    assert _locks(chain) == ["", ""]


def test_the_ledger_is_whole_and_knows_what_served_when(chain: Chain) -> None:
    chain.operator.pegboard("ledger", "verify")
    deployed = [row for row in chain.operator.pegboard("models", "history") if row["action"] == "deployed"]

    assert {host for row in deployed for host in row["deployment"]["hosts"]} == set(HOSTS)
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", row["deployment"]["image"]) for row in deployed)


def test_nothing_was_sent_to_addresses_of_the_simulated_cloud(chain: Chain) -> None:
    sent = chain.packets.sent()
    handed_out = chain.cloud.outputs()["addresses"]

    assert {address: sent[address] for address in handed_out} == dict.fromkeys(handed_out, 0)
    assert all(sent[address] > 0 for address in chain.hosts.values()), "the counter sees nothing"


def test_destroy_removes_the_machines_and_the_inventory(chain: Chain) -> None:
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    machines = chain.cloud.client("ec2")
    assert len(machines.describe_instances(Filters=running)["Reservations"]) == len(HOSTS)

    chain.reader.follow("8")

    assert machines.describe_instances(Filters=running)["Reservations"] == []
    assert not chain.hosts_cfg.exists()
    assert _at(chain) == dict.fromkeys(HOSTS), "the ledger outlives the machines, and says that they serve nothing"
    assert not chain.reader.unread
