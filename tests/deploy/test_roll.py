"""What a deployment and a rollback do when something is not as it should be: the real plays, on hosts that are files.

The chain's test shows the same plays on real hosts; here are the cases that it would take too long to bring about.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.deploy.rolling import Fleet, fleet, image, named
from tests.deploy.running import PEGBOARD, ROOT, checked, run, surroundings, wait_for
from tests.deploy.services import Balancer, balancer, free_port
from tests.deploy.test_filters import FILTERS

# Ends the run that holds the lock.
DIES = """\
- name: Die
  ansible.builtin.shell: kill -9 $(readlink {lock} | cut -d' ' -f2)
"""
# A run of somebody else's machine, of which nobody here can know whether it is still there.
ELSEWHERE = "anna@laptop 4711 2026-11-17T14:05:00+00:00 00000000"


@pytest.fixture
def rolled(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, free_port("127.0.0.2")) as rolled:
        yield rolled


def behind_haproxy(rolled: Fleet, *machines: str, deaf: str = "") -> list[Balancer]:
    """Put the hosts behind haproxies, each of which runs on a machine of its own; the ``deaf`` one finds none well."""
    fronts = []
    for machine in machines:
        # Nobody listens at the last address of loopback's first network.
        addresses = {one.name: "127.0.0.254" if machine == deaf else one.address for one in rolled.hosts.values()}
        fronts.append(rolled.stack.enter_context(balancer(rolled.work / machine, addresses, rolled.port)))
        rolled.machines[machine] = {"front": str(fronts[-1].socket)}
    # The machines are this one, so each has its socket elsewhere. Loops are over machines, or what they said.
    at = f"(item | default('{machines[0]}'))"
    rolled.settings |= {
        "pegboard_balancer": "haproxy", "pegboard_serve_haproxy_hosts": list(machines),
        "pegboard_serve_haproxy_become": False, "pegboard_serve_balancer_retries": 6 if deaf else 60,
        "pegboard_serve_haproxy_socket": f"{{{{ hostvars[{at}.item | default({at})].front }}}}",
    }  # fmt: skip
    return fronts


def told(said: str) -> str:
    """Return what a play said with its line breaks and indentation taken out."""
    return re.sub(r"\s+", " ", said)


def test_a_host_that_runs_and_is_not_ready_can_be_deployed_to(rolled: Fleet) -> None:
    host = rolled.host("a")
    host.has_served(1)
    host.sick.add(1)
    (front,) = behind_haproxy(rolled, "balancer-1")
    wait_for("haproxy has seen that it is not well", lambda: front.servers() == {"a": "DOWN"})

    rolled.deploy(2)

    assert host.runs() == 2
    wait_for("haproxy finds it well", lambda: front.servers() == {"a": "UP"})


def test_a_host_that_is_half_in_again_is_drained_before_it_is_put_back(rolled: Fleet) -> None:
    """The second balancer never finds it well, and the first one sends clients to it."""
    host = rolled.host("a")
    host.has_served(1)
    behind_haproxy(rolled, "balancer-1", "balancer-2", deaf="balancer-2")

    said = rolled.deploy(2, expected=2)

    failed = 'a: task "Wait until haproxy finds the host well" failed: balancer-2: '
    assert f"{failed}after 6 s haproxy finds the server pegboard/a DOWN" in told(said)
    order = re.findall(r"TASK \[pegboard_serve : (Drain the host at haproxy|Start what (?:is wanted|was there))", said)
    assert order == ["Drain the host at haproxy", "Start what is wanted",
                     "Drain the host at haproxy", "Start what was there"]  # fmt: skip
    assert host.runs() == 1
    assert (host.state / "drained").exists()
    assert "could NOT be put back" in said


@pytest.mark.parametrize(("machine", "why"), [
    ({"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}, "balancer-1: timed out waiting"),
    ({"front": "/nowhere/admin.sock"}, "balancer-1: haproxy's socket /nowhere/admin.sock does not answer: No"),
], ids=["unreachable", "no socket"])  # fmt: skip
def test_a_balancer_that_cannot_be_told_is_named_before_a_host_is_touched(
    rolled: Fleet, machine: dict[str, object], why: str
) -> None:
    host = rolled.host("a")
    host.has_served(1)
    behind_haproxy(rolled, "balancer-1")
    rolled.machines["balancer-1"] |= machine

    said = rolled.deploy(2, expected=2)

    assert f"a can neither be taken out of its balancer nor put back: {why}" in told(said)
    assert "unreachable=1" not in said
    assert (host.runs(), host.lock.exists()) == (1, False)
    assert "Take the host" not in said


def test_hosts_that_cannot_go_back_do_not_keep_the_others(rolled: Fleet) -> None:
    gone, good, damaged = (rolled.host(name) for name in ("gone", "good", "damaged"))
    for host in rolled.hosts.values():
        host.has_served(1, 2)
    memory = gone.state / "served.json"
    memory.write_text(memory.read_text().replace(image(1), image(1, "gone/pegboard")))
    (damaged.state / "served.json").write_text('[{"version": "hou')
    for host in rolled.hosts.values():
        host.lock.symlink_to(ELSEWHERE)

    said = rolled.play("rollback.yml", "pegboard_break_lock=true", expected=2)

    assert f'gone was left out: task "Pull" failed: nobody has {image(1, "gone/pegboard")}' in told(said)
    assert f"damaged was left out: {damaged.state}/served.json cannot be read: " in told(said)
    assert "move the file away" in said
    assert {host.name: host.runs() for host in rolled.hosts.values()} == {"gone": 2, "good": 1, "damaged": 2}
    assert good.remembers() == [1]
    assert not good.lock.is_symlink()


def test_a_memory_that_cannot_be_read_is_refused_before_anything_is_rolled(rolled: Fleet) -> None:
    good, damaged = rolled.host("good"), rolled.host("damaged")
    good.has_served(1)
    damaged.has_served(1)
    (damaged.state / "served.json").write_text('[{"version": "house/1"}]')

    said = told(rolled.deploy(2, expected=2))

    assert f"{damaged.state}/served.json cannot be read: an entry lacks image: move the file away" in said
    assert "Nothing was rolled" in said
    assert {good.runs(), damaged.runs()} == {1}


def test_a_step_back_from_different_places_is_refused_and_a_named_version_is_not(rolled: Fleet) -> None:
    done, failed = rolled.host("done"), rolled.host("failed")
    rolled.host("new")
    done.has_served(1, 2, 3)
    failed.has_served(1, 2)
    # What a run of this machine has left that was killed: nobody has to be asked.
    done.lock.symlink_to(_killed())

    said = rolled.play("rollback.yml", expected=2)
    assert "done: house/3 (sha256:333333333333), before it house/2" in said
    assert "failed: house/2 (sha256:222222222222), before it house/1" in said
    assert "make rollback TO=house/2, or rollback.yml -e pegboard_rollback_to=house/2" in told(said)
    assert "deploy house/3 or house/2 again" in told(said)
    assert (done.runs(), failed.runs()) == (3, 2)

    said = rolled.play("rollback.yml", "pegboard_rollback_to=house/2", expected=2)
    assert "new was left out: it has served nothing" in said
    assert (done.runs(), failed.runs(), done.lock.is_symlink()) == (2, 2, False)


def _killed() -> str:
    with subprocess.Popen(["true"]) as run_before:
        run_before.wait()
    who, _, *rest = FILTERS["pegboard_signature"]("2026-11-17T14:05:00+00:00").split(" ")
    return " ".join([who, str(run_before.pid), *rest])


def test_a_step_back_is_refused_while_a_host_is_out_of_the_balancer(rolled: Fleet) -> None:
    host = rolled.host("a")
    host.has_served(1, 2)
    (host.state / "drained").touch()

    said = rolled.play("rollback.yml", expected=2)

    assert "a: house/2 (sha256:222222222222), before it house/1, drained" in said
    assert host.runs() == 2


def test_a_run_that_dies_before_a_host_remembers_leaves_it_marked(rolled: Fleet) -> None:
    """Its memory ends at what it served before: a step back from there would go one version too far."""
    host = rolled.host("a")
    host.has_served(1, 2)
    behind_haproxy(rolled, "balancer-1")
    remember = rolled.work / "ansible/roles/pegboard_serve/tasks/remember.yml"
    tasks = remember.read_text()
    remember.write_text(DIES.format(lock=host.lock))

    rolled.begin("deploy.yml", *named(3)).wait(600)
    remember.write_text(tasks)
    said = rolled.play("rollback.yml", "pegboard_break_lock=true", expected=2)

    assert (host.runs(), host.remembers()) == (3, [1, 2])
    assert "a: house/2 (sha256:222222222222), before it house/1, drained" in said


def test_two_runs_do_not_roll_the_same_hosts(rolled: Fleet) -> None:
    host = rolled.host("a")
    host.has_served(1)
    waits = rolled.say("wait")
    first = rolled.begin("deploy.yml", *named(2))
    wait_for("the first run is at its ledger entry", (rolled.work / "waits").exists, 600)

    said = told(rolled.play("rollback.yml", "pegboard_rollback_to=house/1", expected=2))
    status = told(rolled.play("status.yml"))
    waits.unlink()

    assert first.wait(600) == 0, first.stdout and first.stdout.read()
    holder = f"@{socket.gethostname()} (process {first.pid}) since {datetime.now(UTC):%Y-}"
    assert re.search(rf"Another run rolls these hosts: a: \w+{re.escape(holder)}", said)
    assert "Nothing was rolled" in said
    assert holder in status
    assert host.runs() == 2
    assert not host.lock.is_symlink()


def test_all_hosts_are_taken_or_none(rolled: Fleet) -> None:
    free, taken = rolled.host("free"), rolled.host("taken")
    free.has_served(1)
    taken.has_served(1)
    taken.lock.symlink_to(ELSEWHERE)

    said = told(rolled.deploy(2, expected=2))

    assert "taken: anna@laptop (process 4711) since 2026-11-17T14:05:00+00:00" in said
    assert "take the hosts over: BREAK_LOCK=true" in said
    assert (free.runs(), free.lock.is_symlink(), os.readlink(taken.lock)) == (1, False, ELSEWHERE)


def test_a_host_that_another_run_has_rolled_since_it_was_looked_at_is_not_rolled(rolled: Fleet) -> None:
    host = rolled.host("a")
    host.has_served(1, 2)
    rolled.say("meddle", f"echo '[]' >{host.state}/served.json")

    said = told(rolled.play("rollback.yml", expected=2))

    assert "a: another run has rolled it since this one looked at it" in said
    assert (host.runs(), host.lock.is_symlink()) == (2, False)


def test_an_entry_that_could_not_be_written_is_not_lost(rolled: Fleet) -> None:
    """Also where hosts roll together, and where another version has come before the ledger is there again."""
    one, two = rolled.host("one"), rolled.host("two")
    rolled.settings |= {"pegboard_serve_env": {"A": "b"}, "pegboard_serve_volumes": ["/etc/hosts:/hosts:ro"]}
    refuses = rolled.say("refuses", "one")

    said = told(rolled.deploy(1, "pegboard_serial=2", expected=2))
    assert 'one: task "Record the deployment in the ledger" failed: non-zero return code: the store says no' in said
    assert "Now: house/1 serves and has passed the gate. When the cause is gone: run the same again." in said
    assert "deploy done: house/1 serves" in said
    assert [entry[:2] for entry in rolled.recorded()] == [("two", 1)]
    assert (one.remembers("unrecorded.json"), two.remembers("unrecorded.json")) == ([1], [])

    refuses.unlink()
    rolled.hosts.pop("two")
    rolled.deploy(2)
    mine = [entry for entry in rolled.recorded() if entry[0] == "one"]
    assert [entry[1] for entry in mine] == [1, 2]
    assert datetime.fromisoformat(mine[0][2]) < datetime.fromisoformat(mine[1][2])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(mine[1][2])) < timedelta(minutes=2)
    assert one.remembers("unrecorded.json") == []
    remembered = json.loads((one.state / "served.json").read_text())
    assert [entry["since"] for entry in remembered] == [entry[2] for entry in mine], "a roll has one moment"

    said = rolled.deploy(2)
    assert re.findall(r"changed=(\d+)", said) == ["0"], "with options, too, a second run changes nothing"


def test_the_ledger_takes_what_it_is_told(tmp_path: Path) -> None:
    """The command's own options are what the play gives it: only the version is unknown there."""
    task = (ROOT / "ansible/roles/pegboard_serve/tasks/record.yml").read_text(encoding="utf-8")
    options = re.findall(r"'(--[a-z]+)'", task)
    assert "--since" in options
    values = {"--env": "staging", "--since": "2026-11-17T14:05:00+00:00", "--digest": "0" * 64,
              "--image": "sha256:" + "0" * 64, "--registry": str(tmp_path / "registry")}  # fmt: skip
    words = [word for option in options for word in (option, values.get(option, "a"))]

    done = run(PEGBOARD, "models", "record-deploy", "house/1", *words, expected=None, cwd=tmp_path,
               environment=surroundings())  # fmt: skip

    assert done.returncode == 1, done.stderr
    assert "house" in done.stderr


def test_status_shows_who_rolls_a_host_and_what_runs_instead_of_what_is_remembered(rolled: Fleet) -> None:
    host = rolled.host("a")
    host.has_served(1, 2)
    host.container.write_text(host.container.read_text().replace(image(2), image(1)))
    host.lock.symlink_to(ELSEWHERE)

    said = rolled.play("status.yml")

    assert ("ready, runs another image, rolled by anna@laptop (process 4711) since 2026-11-17T14:05:00+00:00"
            in told(said))  # fmt: skip


PLAY = """\
- name: Look at the engine
  hosts: all
  gather_facts: false
  tasks:
    - name: Restart it if it has to be
      ansible.builtin.include_role: {name: container_engine, tasks_from: restart}
"""


def test_an_engine_with_another_configuration_than_its_file_is_restarted_whatever_became_of_the_last_run(
    tmp_path: Path,
) -> None:
    checked("ansible-playbook", "--version")
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$PEGBOARD_HOST $*" >>{tmp_path}/asked\necho ActiveState=active\n')
    systemctl.chmod(0o755)
    hosts = {"older": (100, 200), "newer": (200, 100), "none": (None, 100)}
    for name, (started, written) in hosts.items():
        (tmp_path / name).mkdir()
        for file, when in (("docker.pid", started), ("daemon.json", written)):
            if when:
                (tmp_path / name / file).touch()
                os.utime(tmp_path / name / file, (when, when))
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts").write_text("".join(f"{name}\n" for name in hosts))
    settings = surroundings(ANSIBLE_CONFIG=str(ROOT / "ansible" / "ansible.cfg"), ANSIBLE_NOCOLOR="1",
                            PATH=f"{tmp_path}/bin:{os.environ['PATH']}")  # fmt: skip

    said = run("ansible-playbook", "-i", tmp_path / "hosts", "-c", "local", tmp_path / "play.yml",
               "-e", f"_container_engine_file={tmp_path}/{{{{ inventory_hostname }}}}/daemon.json",
               "-e", f"_container_engine_pid={tmp_path}/{{{{ inventory_hostname }}}}/docker.pid",
               environment=settings).stdout  # fmt: skip

    assert dict(re.findall(r"^(\w+) +: ok=\d+ +changed=(\d)", said, re.MULTILINE)) == {
        "older": "1", "newer": "0", "none": "0",
    }  # fmt: skip
    assert (tmp_path / "asked").read_text().count(" restart docker") == 1
