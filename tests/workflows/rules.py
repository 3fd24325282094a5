"""What every workflow keeps to, beside what actionlint, zizmor and the schema ask: they do not know this repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
USED = re.compile(r"^\s*(?:- )?uses: (\S+)(?:\s+# (.*))?$", re.MULTILINE)
NAMED = re.compile(r"\b(secrets|vars)\.(\w+)")
#: GitHub makes it for every job; nobody sets it up.
MADE = {"GITHUB_TOKEN"}


@dataclass(frozen=True)
class Workflow:
    """A workflow as it is written, and as it is read."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def content(self) -> Mapping[str, Any]:
        # `on` would be read as a boolean.
        loaded = yaml.load(self.text, yaml.BaseLoader)
        return dict(loaded)

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        return dict(self.content.get("jobs", {}))

    def steps(self) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
        """Yield each step with its job."""
        for name, job in self.jobs.items():
            for step in job.get("steps", []):
                yield name, job, step


def workflows(root: Path) -> list[Workflow]:
    """Return the workflows of a checkout."""
    return [Workflow(path) for path in sorted((root / ".github" / "workflows").glob("*.y*ml"))]


def targets(root: Path) -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def findings(root: Path) -> list[str]:
    """Return what is wrong with the workflows of a checkout, each line with its file and its job."""
    found = [line for workflow in workflows(root) for line in _findings(workflow, root)]
    return [*found, *_pins(workflows(root))]


def _findings(workflow: Workflow, root: Path) -> Iterator[str]:
    where = workflow.path.name
    if workflow.content.get("permissions") != {}:
        yield f"{where}: all its jobs have permissions: write permissions: {{}}, and at each job what that job needs"
    for name, job in workflow.jobs.items():
        yield from (f"{where}: {name}: {what}" for what in _of_a_job(job))
        if _may_be_left_out(workflow, name, root) and "cancelled()" not in str(job.get("if", "")):
            yield (
                f"{where}: {name}: a job that it needs calls a workflow that may leave a job out, and GitHub would"
                " leave this one out too: if: !cancelled() && needs.….result == 'success'"
            )
    for name, job, step in workflow.steps():
        yield from (f"{where}: {name}: {what}" for what in _of_a_step(step, job, root))
    for used, comment in USED.findall(workflow.text):
        if used.startswith("./"):
            if not (root / used).is_file():
                yield f"{where}: {used} is not there"
        elif not PINNED.fullmatch(used):
            yield f"{where}: {used} is not pinned to a commit"
        elif not re.fullmatch(r"v\d+\.\d+\.\d+", comment):
            yield f"{where}: {used} does not say which version that is: # v1.2.3"


def _needed(workflow: Workflow, name: str) -> set[str]:
    """Return the jobs that a job needs, and those that they need."""
    needs = workflow.jobs[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*(_needed(workflow, job) for job in direct))


def _may_be_left_out(workflow: Workflow, name: str, root: Path) -> bool:
    """Return whether a job's needs reach a called workflow in which a job has a condition."""
    called = (workflow.jobs[job].get("uses", "") for job in _needed(workflow, name))
    paths = (root / used for used in called if used.startswith("./"))
    return any("if" in job for path in paths if path.is_file() for job in Workflow(path).jobs.values())


def _of_a_job(job: Mapping[str, Any]) -> Iterator[str]:
    if "permissions" not in job:
        yield "has no permissions"
    # GitHub takes no time-out where another workflow is called: its own jobs have theirs.
    if "uses" not in job and "timeout-minutes" not in job:
        yield "has no time-out"
    if "secrets" in job:
        yield "passes secrets on: let the called workflow ask AWS as its own role"


def _of_a_step(step: Mapping[str, Any], job: Mapping[str, Any], root: Path) -> Iterator[str]:
    if "name" not in step:
        yield f"a step has no name: {step.get('run', step.get('uses'))}"
    checkout = str(step.get("uses", "")).startswith("actions/checkout@")
    if checkout and step.get("with", {}).get("persist-credentials") != "false":
        yield "the checkout leaves its token on disk: persist-credentials: false"
    if "run" in step:
        yield from _of_a_command(str(step["run"]), step, job, root)


def _of_a_command(command: str, step: Mapping[str, Any], job: Mapping[str, Any], root: Path) -> Iterator[str]:
    if "${{" in command:
        yield f"{command!r} has an expression in it, and what that holds would be read by a shell: use env"
    first, *words = command.split()
    if first != "make":
        script = root / first
        if words or not script.is_file() or not script.stat().st_mode & 0o100:
            yield f"{command!r} is neither a target of make nor a script of this repository that can be run"
        return
    yield from (f"make has no target {target}" for target in made(step, job) - targets(root))


def made(step: Mapping[str, Any], job: Mapping[str, Any]) -> set[str]:
    """Return the targets that a step has made, every one that its job's matrix may name."""
    first, *words = str(step.get("run", "")).split() or [""]
    if first != "make":
        return set()
    found = ((word, re.fullmatch(r'"\$(\w+)"', word)) for word in words)
    return {target for word, variable in found for target in (_values(variable[1], step, job) if variable else [word])}


def _values(variable: str, step: Mapping[str, Any], job: Mapping[str, Any]) -> list[str]:
    """Return what a variable may hold: one of a matrix, or else what is written."""
    given = str(step.get("env", {}).get(variable, f"${variable}"))
    axis = re.fullmatch(r"\$\{\{ matrix\.([\w-]+) \}\}", given)
    return list(job["strategy"]["matrix"][axis[1]]) if axis else [given]


def _pins(all_of_them: list[Workflow]) -> Iterator[str]:
    """An action that is pinned twice is pinned to the same commit, or one of the two was forgotten."""
    pins: dict[str, set[str]] = {}
    for workflow in all_of_them:
        for used, _ in USED.findall(workflow.text):
            if PINNED.fullmatch(used):
                action, _, commit = used.partition("@")
                pins.setdefault(action, set()).add(commit)
    yield from (f"{action} is pinned to {len(commits)} commits" for action, commits in pins.items() if len(commits) > 1)


def environments(workflow: Workflow) -> set[str]:
    """Return the environments of a workflow's jobs, an input's value for each that it may have."""
    found = set()
    for job in workflow.jobs.values():
        if (given := job.get("environment")) is None:
            continue
        if "${{" not in given:
            found.add(given)
            continue
        suffix = given.rpartition("}}")[2]
        found |= {f"{name}{suffix}" for name in ("staging", "production")}
    return found


def settings(workflow: Workflow) -> set[tuple[str, str]]:
    """Return the secrets and variables that a workflow reads: ``("vars", "AWS_REGION")``."""
    return {(kind, name) for kind, name in NAMED.findall(workflow.text) if name not in MADE}
