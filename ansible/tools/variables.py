"""Write the tables of variables into the roles' READMEs, from their argument specs, or ``--check`` that they are so.

Run it with a Python that has PyYAML: Ansible's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

ROLES = Path(__file__).parents[1] / "roles"
BEGIN, END = "<!-- Variables: written by ansible/tools/variables.py. -->\n", "<!-- End of the variables. -->\n"
HEAD = "| variable | type | default | |\n|---|---|---|---|\n"


def options(role: Path) -> dict[str, Mapping[str, Any]]:
    """Return what the role's argument specs say of each variable, by its name."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return dict(specs["main"]["options"])


def short_names(role: Path) -> dict[str, str]:
    """Return the names that variables have in inventories and on the command line, where they have one."""
    defaults = (role / "defaults" / "main.yml").read_text(encoding="utf-8")
    return dict(re.findall(r'^(\w+): "\{\{ (pegboard_\w+) \| default\(', defaults, re.MULTILINE))


def table(role: Path) -> str:
    """Return the role's variables as Markdown has tables."""
    short = short_names(role)
    rows = [row(name, short.get(name), option) for name, option in options(role).items()]
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(name: str, short: str | None, option: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return a variable's cells."""
    names = f"`{name}`" + (f", `{short}`" if short else "")
    default = "" if option.get("default", "") == "" else f"`{plain(option['default'])}`"
    text = " ".join([option["description"], *suboptions(option)])
    return names, "/".join(option.get("choices", [option["type"]])), default, re.sub(r"C\(([^)]*)\)", r"`\1`", text)


def suboptions(option: Mapping[str, Any]) -> Iterator[str]:
    """Say what each key of a variable's elements is."""
    for key, of_key in option.get("options", {}).items():
        yield f"C({key}){'' if of_key.get('required') else ', may be left out'}: {of_key['description']}"


def plain(value: object) -> str:
    """Return a default as YAML has it on one line."""
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).removesuffix("...\n").strip().strip("'")


def written(role: Path) -> str:
    """Return the role's README with its table as it should be."""
    readme = (role / "README.md").read_text(encoding="utf-8")
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        sys.exit(f"{role.name}/README.md needs the line {BEGIN.strip()} and, after it, {END.strip()}")
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{table(role)}\n{END}{rest.split(END)[1]}"


def main(arguments: list[str]) -> None:
    """Write the tables that have changed, or name them."""
    wanted = {role / "README.md": written(role) for role in sorted(ROLES.iterdir())}
    stale = [readme for readme, text in wanted.items() if readme.read_text(encoding="utf-8") != text]
    names = ", ".join(str(readme.relative_to(ROLES.parents[1])) for readme in stale)
    if stale and "--check" in arguments:
        sys.exit(f"out of date: {names}; run ansible/tools/variables.py")
    for readme in stale:
        readme.write_text(wanted[readme], encoding="utf-8")
    if stale:
        print(f"wrote {names}")


if __name__ == "__main__":
    main(sys.argv[1:])
