"""Print the lowest versions that pyproject.toml declares, as constraints for pip: of the package and of some extras.

python .ci/lowest.py test > lowest.txt && pip install -c lowest.txt '.[test]'
"""

import re
import sys
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<extras>\[[^]]*\])?>=(?P<bound>[\w.]+)(?P<marker>;.*)?")


def main(extras: list[str]) -> None:
    """Print one line per requirement; one that is not of the form ``name>=version`` is an error."""
    path = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [each for extra in extras for each in project["optional-dependencies"][extra]]
    for requirement in wanted:
        found = REQUIREMENT.fullmatch(requirement.replace(" ", ""))
        if found is None:
            raise SystemExit(f"{requirement!r} has no lowest version: expected NAME>=VERSION")
        print(f"{found['name']}=={found['bound']}{(found['marker'] or '').replace(';', '; ')}")


if __name__ == "__main__":
    main(sys.argv[1:])
