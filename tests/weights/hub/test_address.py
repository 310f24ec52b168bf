"""What people write to name a model on the hub."""

from __future__ import annotations

import pytest

from safelight.errors import BadInput
from safelight.weights.hub import Address

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "repository", "revision", "path"),
    [
        ("CompVis/stable-diffusion-v1-4", "CompVis/stable-diffusion-v1-4", "main", ""),
        ("owner/name/", "owner/name", "main", ""),
        ("owner/name@fp16", "owner/name", "fp16", ""),
        (f"owner/name@{COMMIT}", "owner/name", COMMIT, ""),
        ("owner/name@refs/pr/7", "owner/name", "refs/pr/7", ""),
        ("owner/name@refs/pr/7/vae", "owner/name", "refs/pr/7", "vae"),
        ("owner/name@feature%2Fone/vae", "owner/name", "feature/one", "vae"),
        ("owner/name/file.safetensors", "owner/name", "main", "file.safetensors"),
        ("owner/name@v1.0/loras/my lora.safetensors", "owner/name", "v1.0", "loras/my lora.safetensors"),
        ("hf://owner/name@v1/vae", "owner/name", "v1", "vae"),
        ("https://huggingface.co/owner/name", "owner/name", "main", ""),
        ("https://huggingface.co/owner/name/tree/main", "owner/name", "main", ""),
        ("https://huggingface.co/owner/name/blob/fp16/a%20b.ckpt?download=true", "owner/name", "fp16", "a b.ckpt"),
        ("https://hf.co/owner/name/resolve/main/vae/config.json", "owner/name", "main", "vae/config.json"),
    ],
)
def test_what_is_read(text: str, repository: str, revision: str, path: str) -> None:
    assert Address.parse(text) == Address(repository, revision, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "/",
        "./owner/name",
        "../owner/name",
        "/home/me/model",
        "~/model",
        "C:\\models\\mine",
        "owner//name",
        "owner/na me",
        "owner/-name",
        "owner/na--me",
        "owner/..",
        "owner/name@",
        "owner/name@..",
        "owner/name@%2e%2e%2fother",
        "owner/name/../../etc/passwd",
        "owner/name/%2e%2e/passwd",
        "owner/name/a\\b",
        "owner/name\n",
        "a" * 97 + "/name",
        "https://example.com/owner/name",
        "https://huggingface.co/owner",
        "https://huggingface.co",
        "hf://datasets/owner/name@main/../..",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Address.parse(text)


def test_the_web_address_of_an_own_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.com")
    assert Address.parse("https://hub.example.com/owner/name").repository == "owner/name"


def test_a_revision_is_given_once() -> None:
    assert Address.parse("owner/name", "fp16") == Address.parse("owner/name@fp16", "fp16")
    with pytest.raises(BadInput, match="'fp16' and revision= is 'main'"):
        Address.parse("owner/name@fp16", "main")
    with pytest.raises(BadInput, match="cannot be a name"):
        Address.parse("owner/name", "../../x")


@pytest.mark.parametrize("text", ["owner/name", "owner/name@v1/vae", "owner/name@feature%2Fone", "owner/name/a.ckpt"])
def test_it_is_written_as_it_is_read(text: str) -> None:
    assert str(Address.parse(text)) == text
