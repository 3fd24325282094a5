"""ssh over Session Manager is set up for one job: the key stays secret, and nothing stays behind."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.running import ROOT, run, surroundings

# Every program that the script may call writes down how it was called and what it could see, and is then itself.
WITNESS = """#!/bin/bash
echo "$0 $*" >>{work}/called
env >>{work}/seen
for word; do [ ! -f "$word" ] || /usr/bin/stat -c '%a %n' "$word" >>{work}/modes; done
exec {tool} "$@"
"""
TOOLS = ("mkdir", "mktemp", "rm", "mv", "cat", "ssh-keygen")
PROXY = "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p"


@dataclass
class Job:
    """A job on a runner: its home, its programs, its key."""

    work: Path
    key: str

    @property
    def home(self) -> Path:
        return self.work / "home"

    @property
    def place(self) -> Path:
        return self.home / ".ssh" / "pegboard-session-manager"

    def files(self) -> dict[str, str]:
        """Return every file of the home with its content."""
        return {str(file.relative_to(self.home)): file.read_text() for file in self.home.rglob("*") if file.is_file()}

    def set_up(
        self, *words: str, expected: int = 0, key: str | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script, with no programs but those that are watched."""
        environment = surroundings(PEGBOARD_SSH_KEY=self.key if key is None else key, **more)
        environment |= {"HOME": str(self.home), "PATH": str(self.work / "bin")}
        script = ROOT / "ansible" / "session-manager.sh"
        return run("/bin/bash", script, *words, environment=environment, expected=expected)

    def written(self, name: str) -> str:
        """Return what the witnesses wrote: ``called``, ``seen``, ``modes``."""
        return (self.work / name).read_text(encoding="utf-8")


def made_key(file: Path, passphrase: str = "") -> str:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "job", "-f", file)
    return file.read_text(encoding="utf-8")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir()
    for name in (*TOOLS, "dirname", "aws", "session-manager-plugin"):
        tool = tmp_path / "bin" / name
        tool.write_text(WITNESS.format(work=tmp_path, tool=shutil.which(name) or "/bin/false"), encoding="utf-8")
        tool.chmod(0o755)
    return Job(tmp_path, made_key(tmp_path / "key"))


def test_ssh_finds_its_way_to_an_instance_and_only_there(job: Job) -> None:
    job.set_up()

    def option(host: str, name: str) -> str:
        found = re.search(f"^{name} (.*)$", run("ssh", "-G", "-F", job.place / "config", host).stdout, re.MULTILINE)
        return found[1] if found else ""

    assert option("i-0a1", "proxycommand") == PROXY
    assert option("i-0a1", "identityfile") == str(job.place / "key")
    assert option("i-0a1", "identitiesonly") == "yes"
    assert option("i-0a1", "stricthostkeychecking") in ("yes", "true")
    assert option("192.0.2.1", "proxycommand") == ""
    assert option("192.0.2.1", "identityfile") != str(job.place / "key")


@pytest.mark.parametrize("change", [lambda key: key, str.rstrip, lambda key: key.replace("\n", "\r\n")])
def test_the_key_is_a_key_also_after_a_form_has_had_it(job: Job, change: object) -> None:
    assert callable(change)
    job.set_up(key=change(job.key))

    public = run("ssh-keygen", "-y", "-f", job.place / "key").stdout
    assert public.split()[1] == (job.work / "key.pub").read_text(encoding="utf-8").split()[1]


def test_the_key_is_told_to_nobody(job: Job) -> None:
    done = job.set_up()

    secret = job.key.splitlines()[1]
    assert secret in (job.place / "key").read_text(encoding="utf-8")
    assert secret not in done.stdout + done.stderr
    assert "ssh-keygen" in job.written("called")
    assert secret not in job.written("called") + job.written("seen")
    modes = [line.split()[0] for line in job.written("modes").splitlines() if line.endswith("/key")]
    assert modes
    assert set(modes) == {"600"}
    assert (job.place / "key").stat().st_mode & 0o777 == 0o600
    assert job.place.stat().st_mode & 0o777 == 0o700


def test_a_second_time_changes_nothing_and_another_key_takes_the_place(job: Job) -> None:
    job.set_up()
    before = job.files()
    job.set_up()
    assert job.files() == before

    other = made_key(job.work / "other")
    job.set_up(key=other)
    assert (job.place / "key").read_text(encoding="utf-8").strip() == other.strip()
    assert job.files().keys() == before.keys()


def test_it_takes_away_what_it_wrote_and_nothing_else(job: Job) -> None:
    (job.home / ".ssh").mkdir()
    (job.home / ".ssh" / "config").write_text("Host mine\n    User me\n", encoding="utf-8")
    before = job.files()
    job.set_up()
    assert job.files().items() > before.items()
    job.set_up("--remove", key="")
    assert job.files() == before
    assert [path.name for path in (job.home / ".ssh").iterdir()] == ["config"]
    job.set_up("--remove", key="")


@pytest.mark.parametrize(("missing", "reason"), [
    ("aws", "there is no aws on PATH: install"),
    ("session-manager-plugin", "there is no session-manager-plugin on PATH, without which aws opens no session"),
])  # fmt: skip
def test_what_is_missing_is_named_and_nothing_is_written(job: Job, missing: str, reason: str) -> None:
    (job.work / "bin" / missing).unlink()

    assert reason in job.set_up(expected=1).stderr
    assert job.files() == {}


def test_a_key_that_is_none_is_refused_and_the_one_of_before_stays(job: Job) -> None:
    job.set_up()
    before = job.files()
    for key, reason in (("", "PEGBOARD_SSH_KEY is empty"), ("a password", "is not a private key"),
                        (made_key(job.work / "locked", "a passphrase"), "without a passphrase"),
                        ((job.work / "key.pub").read_text(), "is not a private key"),
                        ("\n".join(job.key.splitlines()[:3]), "is not a private key")):  # fmt: skip
        done = job.set_up(expected=1, key=key)
        assert reason in done.stderr
        assert done.stdout == ""
        assert job.files() == before
        assert [path.name for path in (job.home / ".ssh").iterdir()] == [job.place.name]


# aws, as far as a parameter is asked for: with these words, decrypted, as text.
PARAMETER = """#!/bin/bash
echo "$*" >>{work}/asked
words="--with-decryption --query Parameter.Value --output text"
if [[ "$*" == "ssm get-parameter --name /pegboard/staging/ssh-key $words" ]]
then /bin/cat {work}/key; else echo "An error occurred (ParameterNotFound)" >&2; exit 254; fi
"""


def test_the_key_may_lie_in_aws(job: Job) -> None:
    (job.work / "bin" / "aws").write_text(PARAMETER.format(work=job.work), encoding="utf-8")
    job.set_up(key="", PEGBOARD_SSH_KEY_PARAMETER="/pegboard/staging/ssh-key")
    assert (job.place / "key").read_text(encoding="utf-8").strip() == job.key.strip()
    before = job.files()

    refused = job.set_up(expected=1, key="", PEGBOARD_SSH_KEY_PARAMETER="/pegboard/production/ssh-key")
    assert "ParameterNotFound" in refused.stderr
    assert "whoever asks needs ssm:GetParameter for it" in refused.stderr
    assert job.files() == before


def test_a_key_that_is_given_is_not_asked_for(job: Job) -> None:
    (job.work / "bin" / "aws").write_text(PARAMETER.format(work=job.work), encoding="utf-8")
    job.set_up(PEGBOARD_SSH_KEY_PARAMETER="/pegboard/production/ssh-key")
    assert not (job.work / "asked").exists()


def test_another_word_is_refused(job: Job) -> None:
    assert "usage:" in job.set_up("--delete", expected=1).stderr
    assert job.files() == {}
