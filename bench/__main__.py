"""`python -m bench NAME [ARGUMENTS]`: run a benchmark; without a name, or with --help, list them."""

import ast
import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def benches() -> dict[str, str]:
    """Return every module here that has a ``main``, with the first line of its docstring."""
    found = {}
    for path in sorted(FOLDER.glob("[!_]*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").split("\n", 1)[0]
    return found


def main(argv: list[str]) -> int:
    """Run the benchmark that is named first, with the other arguments."""
    known = benches()
    if argv and argv[0] in known:
        return int(importlib.import_module(f"bench.{argv[0]}").main(argv[1:]))
    print("usage: python -m bench NAME [ARGUMENTS]     (NAME --help explains one)\n")
    print("\n".join(f"  {name:<15}{text}" for name, text in known.items()))
    return 0 if not argv or argv[0] in ("-h", "--help") else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
