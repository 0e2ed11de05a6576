"""Requirements of the named distributions without the project's own: `third_party.py FOLDER...` prints one a line.

It lets an image install what rarely changes in a layer of its own, before the code is copied.
"""

import sys
import tomllib
from pathlib import Path


def requirements(folders: list[str]) -> list[str]:
    """What the distributions in `folders` need from outside the project, sorted, each once."""
    projects = [tomllib.loads((Path(folder) / "pyproject.toml").read_text())["project"] for folder in folders]
    needed = {requirement for project in projects for requirement in project["dependencies"]}
    return sorted(requirement for requirement in needed if not requirement.startswith("gmeta-"))


if __name__ == "__main__":
    print(*requirements(sys.argv[1:]), sep="\n")
