"""The hosts' keys come from their consoles, or not at all."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.running import ROOT, run, surroundings

ONE, TWO = ("192.0.2.1", "i-0a1"), ("192.0.2.2", "i-0b2")
BOOT = "[   12.1] cloud-init[911]: Cloud-init v. 24.4 finished\r\n"
# aws's own options come before the instance; what it says depends on whether --latest is asked for.
AWS = """#!/bin/sh
echo "$*" >>"{work}/asked"
for word; do case $word in i-*) instance=$word ;; --latest) latest=-latest ;; esac; done
[ "$1 $2" = "ec2 get-console-output" ] || exit 252
cat "{work}/console/$instance$latest" 2>/dev/null || echo None
"""


@dataclass
class Machines:
    """An inventory, consoles, and where keys are written."""

    work: Path

    @property
    def known(self) -> Path:
        return self.work / "ssh" / "known_hosts"

    def key(self, name: str) -> str:
        """Make a host's key; return its public half as the console shows it."""
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{name}", "-f", self.work / name)
        return (self.work / f"{name}.pub").read_text(encoding="utf-8").strip()

    def shows(self, instance: str, *keys: str) -> None:
        """Let a console show keys, as cloud-init prints them."""
        block = "\r\n".join(["-----BEGIN SSH HOST KEY KEYS-----", *keys, "-----END SSH HOST KEY KEYS-----", ""])
        (self.work / "console" / instance).write_text(BOOT + (block if keys else ""), encoding="utf-8", newline="")

    def lists(self, *hosts: tuple[str, str]) -> None:
        """Write the inventory of these hosts, as Terraform does."""
        lines = [f"host-{n} ansible_host={address} instance_id={name}" for n, (address, name) in enumerate(hosts)]
        text = "\n".join(["[pegboard]", *lines, "", "[pegboard:vars]", "pegboard_aws_region=eu-central-1", ""])
        (self.work / "hosts.cfg").write_text(text, encoding="utf-8")

    def write(self, expected: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = surroundings()
        environment["PATH"] = f"{self.work / 'bin'}:{environment['PATH']}"
        return run(ROOT / "ansible" / "known-hosts.sh", self.work / "hosts.cfg", self.known, environment=environment,
                   expected=expected)  # fmt: skip

    def found(self, name: str) -> str:
        """Return the key that ssh would expect of a host, by its address or its instance."""
        said = run("ssh-keygen", "-F", name, "-f", self.known, expected=None).stdout
        return " ".join(said.splitlines()[1].split()[1:3]) if said else ""

    def asked(self) -> int:
        """Return how often AWS was asked."""
        asked = self.work / "asked"
        return len(asked.read_text(encoding="utf-8").splitlines()) if asked.exists() else 0


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    (tmp_path / "console").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").write_text(AWS.format(work=tmp_path), encoding="utf-8")
    (tmp_path / "bin" / "aws").chmod(0o755)
    return Machines(tmp_path)


def test_keys_are_written_by_address_and_by_instance(machines: Machines) -> None:
    keys = {host: machines.key(host[1]) for host in (ONE, TWO)}
    for host, key in keys.items():
        machines.shows(host[1], key)
    machines.lists(ONE, TWO)
    said = machines.write().stdout

    for (address, instance), key in keys.items():
        assert machines.found(address) == machines.found(instance) == " ".join(key.split()[:2])
        fingerprint = run("ssh-keygen", "-lf", machines.work / f"{instance}.pub").stdout.split()[1]
        assert f"{address} ({instance}): {fingerprint}" in said
    assert machines.known.stat().st_mode & 0o777 == 0o600
    assert list(machines.known.parent.iterdir()) == [machines.known]


def test_a_host_that_is_known_is_not_asked_again(machines: Machines) -> None:
    machines.shows(ONE[1], machines.key("one"))
    machines.lists(ONE)
    machines.write()
    before, asked = machines.known.read_bytes(), machines.asked()
    machines.shows(ONE[1])

    assert "known" in machines.write().stdout
    assert machines.known.read_bytes() == before
    assert machines.asked() == asked


def test_a_console_without_keys_is_refused_and_nothing_is_written(machines: Machines) -> None:
    machines.shows(ONE[1], machines.key("one"))
    machines.shows(TWO[1])
    machines.lists(ONE, TWO)
    machines.known.parent.mkdir()
    machines.known.write_text("github.example ssh-ed25519 AAAA\n", encoding="utf-8")
    said = machines.write(expected=1).stderr

    assert "192.0.2.2 (i-0b2): its console shows no key yet" in said
    assert f"aws ssm start-session --target {TWO[1]}" in said
    assert machines.known.read_text(encoding="utf-8") == "github.example ssh-ed25519 AAAA\n"
    assert list(machines.known.parent.iterdir()) == [machines.known]


def test_the_console_of_this_moment_is_asked_when_the_kept_one_shows_nothing(machines: Machines) -> None:
    key = machines.key("one")
    machines.shows(f"{ONE[1]}-latest", key)
    machines.lists(ONE)
    machines.write()

    assert machines.found(ONE[0]) == " ".join(key.split()[:2])


def test_an_address_that_another_instance_had_gets_the_new_key_and_others_stay(machines: Machines) -> None:
    machines.shows(ONE[1], machines.key("one"))
    machines.shows(TWO[1], machines.key("two"))
    machines.lists(ONE, TWO)
    machines.write()
    kept = machines.found(TWO[0])
    new = machines.key("new")
    machines.shows("i-0c3", new)
    machines.lists((ONE[0], "i-0c3"), TWO)
    machines.write()

    assert machines.found(ONE[0]) == " ".join(new.split()[:2])
    assert machines.found(ONE[1]) == ""
    assert machines.found(TWO[0]) == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "`make hosts` writes it"),
        ("[pegboard]\na ansible_host=192.0.2.1 instance_id=i-0a1\n", "does not say pegboard_aws_region"),
        ("[pegboard]\na ansible_host=192.0.2.1\n[pegboard:vars]\npegboard_aws_region=eu-central-1\n", "names no host"),
    ],
)
def test_another_inventory_is_refused(machines: Machines, text: str | None, said: str) -> None:
    if text is not None:
        (machines.work / "hosts.cfg").write_text(text, encoding="utf-8")

    assert said in machines.write(expected=1).stderr
    assert not machines.known.exists()
