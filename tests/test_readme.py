"""What README says works: its Python runs, its commands parse, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from safelight.apps.cli import parser
from safelight.training.recipe_file import read_recipe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/safelight/bundled/*.md")])
COMMANDS = re.findall(r"^    (safelight .*)$", README.replace("\\\n", " "), re.MULTILINE)


@pytest.mark.parametrize("number", range(len(re.findall(r"```python", README))))
def test_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    exec(compile(code, f"README.md, snippet {number + 1}", "exec"), {})
    assert list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    arguments = parser().parse_args(shlex.split(command, comments=True)[1:])
    assert callable(arguments.run)


def test_named_recipes_exist() -> None:
    names = set(re.findall(r"--recipe (\w+) ", README))
    assert names
    for name in names:
        read_recipe(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_make_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
