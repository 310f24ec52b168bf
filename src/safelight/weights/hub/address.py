"""Where a model lies on the hub: `owner/name`, `owner/name@revision`, `owner/name/file.safetensors`.

The form is that of the hub's own `hf://` addresses; the address of the web page that shows it will do as well.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from safelight.errors import BadInput

MAIN = "main"  # the revision that an id alone means
FORM = "owner/name, with @revision and /file behind it where needed"
HOSTS = {"huggingface.co", "hf.co"}
PAGES = {"blob", "raw", "resolve", "tree"}  # of the hub's website: owner/name/PAGE/revision/path

NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
REVISION = r"refs/(?:pr|convert)/[^/@\s]+|[^/@\s]+"
ADDRESS = re.compile(rf"(?P<repository>{NAME}/{NAME})(?:@(?P<revision>{REVISION}))?(?:/(?P<path>.+?))?/?")


@dataclass(frozen=True)
class Address:
    """A repository of the hub, one of its states, and a file or folder in it.

    repository: owner/name. revision: branch, tag or commit. path: from its root, with "/"; empty for all of it.
    """

    repository: str
    revision: str = MAIN
    path: str = ""

    @classmethod
    def parse(cls, text: str, revision: str | None = None) -> Address:
        """Read what people write; `revision` is another way to give what may follow the "@".

        Raises BadInput.
        """
        match = ADDRESS.fullmatch(_without_host(text))
        if match is None or "--" in match["repository"] or ".." in match["repository"]:
            raise BadInput(f"{text!r} is no id of a model on the hub; allowed: {FORM}.")
        given = unquote(match["revision"] or "") or None
        if given and revision and given != revision:
            raise BadInput(f"{text!r} names revision {given!r} and revision= is {revision!r}; give one of them.")
        address = cls(match["repository"], given or revision or MAIN, unquote(match["path"] or ""))
        for name in (address.revision, *([address.path] if address.path else [])):
            if not is_inside(name):
                raise BadInput(f"{text!r} holds {name!r}, which cannot be a name on the hub; allowed: {FORM}.")
        return address

    def __str__(self) -> str:
        revision = "" if self.revision == MAIN else f"@{self.revision.replace('/', '%2F')}"
        return "/".join(filter(None, (self.repository + revision, self.path)))


def is_inside(name: str) -> bool:
    """Whether a name from the hub stays in the folder that it is joined to, on every system."""
    parts = name.split("/")
    return not re.search(r"[\\:\x00-\x1f]", name) and all(part.strip(" .") for part in parts)


def _without_host(text: str) -> str:
    """The part of a web address behind the host, with the page's name taken out; other text as it is."""
    if text.startswith("hf://"):
        return text.removeprefix("hf://").removeprefix("models/")
    if "://" not in text:
        return text
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname
    address = urlsplit(text)
    if address.hostname not in {*HOSTS, endpoint}:
        raise BadInput(f"{text!r} is not on the hub ({', '.join(sorted(HOSTS))}); download the file and give its path.")
    owner, name, page, revision, *path = [*address.path.strip("/").split("/"), "", "", ""]
    if page not in PAGES:
        return address.path.strip("/")
    return "/".join(filter(None, (owner, f"{name}@{revision}" if revision else name, *path)))
