"""The documents: every link from one to another, or to a file, leads somewhere."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_every_relative_link_of_a_document_leads_to_a_file(document: Path) -> None:
    links = _LINK.findall(document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_index_lists_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert [each.name for each in (ROOT / "docs").glob("*.md") if f"({each.name})" not in index] == ["README.md"]


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_calls_of_a_readme_are_those_of_the_api_docs(name: str) -> None:
    calls = re.findall(r"^\$ curl .*?(?=\n\n|\n```)", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)
    api = (ROOT / "docs" / "api.md").read_text()
    assert len(calls) == 5
    assert [call for call in calls if f"{call}\n```" not in api] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(ROOT)))
def test_every_python_file_that_a_document_names_with_its_folder_exists(document: Path) -> None:
    names = re.findall(r"`((?:\w+/)+\w+\.py)`", document.read_text())
    assert [name for name in names if not (ROOT / name).exists()] == []
