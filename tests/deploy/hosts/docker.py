#!/usr/bin/python
"""What stands in the place of community.docker's modules: a container is a file, whose path is the container's name.

It is whichever module it is called as. Images are there, but for those of the repository ``gone``, which nobody has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-not-found,unused-ignore]

WORDS = (
    "cap_drop", "comparisons", "container_default_behavior", "env", "force", "image", "images", "images_filters",
    "log_driver", "log_options", "memory", "memory_swap", "name", "pids_limit", "published_ports", "pull",
    "read_only", "restart_policy", "security_opts", "state", "stop_timeout", "tmpfs", "user", "verbose_output",
    "volumes",
)  # fmt: skip
# What of a container is compared with what is wanted.
KEPT = ("env", "image", "memory", "published_ports", "volumes")


def images(names: str | list[str]) -> list[dict[str, Any]]:
    """Describe those images that are there."""
    there = [name for name in ([names] if isinstance(names, str) else names) if not name.startswith("gone/")]
    return [{"Id": one, "Architecture": "amd64", "Config": {"Labels": {}}, "RepoDigests": [one]} for one in there]


def container(module: AnsibleModule, file: Path) -> dict[str, Any]:
    """Bring the container there, or say what would have to be done."""
    runs = json.loads(file.read_text()) if file.exists() else None
    wanted = {key: module.params[key] for key in KEPT} if module.params["state"] == "started" else None
    actions = [] if runs == wanted else ["replaced"]
    if actions and not module.check_mode:
        file.write_text(json.dumps(wanted)) if wanted else file.unlink()
    return {"changed": bool(actions), "actions": actions}


def main() -> None:
    """Answer as the module does that this is called as."""
    module = AnsibleModule(argument_spec={word: {"type": "raw"} for word in WORDS}, supports_check_mode=True)
    name, kind = module.params["name"], module._name.rsplit(".", 1)[-1]
    if kind == "docker_image_pull":
        module.fail_json(msg=f"nobody has {name}")
    if kind == "docker_image_info":
        module.exit_json(changed=False, images=images(name))
    if kind == "docker_host_info":
        module.exit_json(changed=False, images=[])
    if kind == "docker_container_info":
        runs = json.loads(Path(name).read_text()) if Path(name).exists() else None
        module.exit_json(changed=False, exists=runs is not None, container=runs and {"Image": runs["image"]})
    module.exit_json(**container(module, Path(name)))


if __name__ == "__main__":
    main()
