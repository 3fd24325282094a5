"""What must hold of a plugin as a whole."""

from __future__ import annotations

from pegboard.testing.fresh import listing
from pegboard.testing.kit import Failed, Subject, check

#: What Pegboard itself has imported by the time that it lists what is there, or what weighs nothing.
LIGHT = frozenset({"click", "pegboard", "pluggy", "typing_extensions"})


@check("plugin", "no-problems", "everything that it registers is on the board, and nothing else claims its names")
def no_problems(subject: Subject) -> None:
    """Nothing that the manager or the catalog has to say of it."""
    mine = [str(problem) for problem in subject.kit.catalog.problems if str(subject.thing.plugin) in problem.plugin]
    if mine:
        raise Failed("; ".join(mine))


@check("plugin", "imports-lazily", "listing what it registers imports no library")
def imports_lazily(subject: Subject) -> None:
    """`pegboard --help` imports every plugin's module, so libraries are imported in the functions that need them."""
    found = listing(subject)
    heavy = sorted(set(found["libraries"]) - LIGHT)
    if heavy:
        remedy = "import it inside the functions that need it" if len(heavy) == 1 else "import them where needed"
        raise Failed(f"importing {found['module']} and listing its specs imports {', '.join(heavy)}: {remedy}")
