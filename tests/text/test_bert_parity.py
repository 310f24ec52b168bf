"""The paper's text transformer against diffusers', and against its own formula under its own names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from weights.references import TOLERANCE, relative_error, scrambled

from safelight.configs import BertConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.text import BertEncoder
from safelight.weights import load_bert, save_bert
from safelight.weights.original.bert_keys import original_bert_keys
from safelight.weights.strict import foreign_tensors

SMALL = BertConfig(vocabulary=60, length=12, width=24, layers=3, heads=2, head_width=8)
IDS = torch.tensor([[3, 59, 7, 0, 0, 0], [1, 2, 3, 4, 5, 6]])


@pytest.fixture
def theirs(tmp_path: Path) -> LDMBertModel:
    """In tmp_path / "theirs" as well; its heads together are narrower than its tokens, as in the published one."""
    config = LDMBertConfig(
        vocab_size=60,
        max_position_embeddings=12,
        encoder_layers=3,
        encoder_ffn_dim=96,
        encoder_attention_heads=2,
        head_dim=8,
        d_model=24,
    )
    made = scrambled(LDMBertModel(config))
    made.save_pretrained(tmp_path / "theirs")
    return made


def test_the_same_hidden_states_as_diffusers(theirs: LDMBertModel, tmp_path: Path) -> None:
    ours = load_bert(tmp_path / "theirs")
    with torch.no_grad():
        expected = theirs(IDS, return_dict=True).last_hidden_state
        assert relative_error(ours(IDS), expected) <= TOLERANCE
    assert ours.config == SMALL


def test_diffusers_opens_what_we_write(theirs: LDMBertModel, tmp_path: Path) -> None:
    save_bert(tmp_path / "ours", load_bert(tmp_path / "theirs"))
    again, report = LDMBertModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    expected = theirs.state_dict()
    assert again.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def original(tensors: dict[str, Tensor], ids: Tensor, heads: int) -> Tensor:
    """The transformer by its original names: pre-norm attention and perceptron take turns (x-transformers)."""

    def linear(name: str, x: Tensor) -> Tensor:
        return functional.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    def norm(name: str, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    x = tensors["transformer.token_emb.weight"][ids]
    x = x + tensors["transformer.pos_emb.emb.weight"][: ids.shape[1]]
    layers = 1 + max(int(name.split(".")[3]) for name in tensors if ".layers." in name)
    for n in range(layers):
        place = f"transformer.attn_layers.layers.{n}"
        h = norm(f"{place}.0", x)
        if n % 2:
            x = x + linear(f"{place}.1.net.2", functional.gelu(linear(f"{place}.1.net.0.0", h)))
            continue
        q, k, v = (
            rearrange(linear(f"{place}.1.to_{part}", h), "b n (h d) -> b h n d", h=heads) for part in ("q", "k", "v")
        )
        weights = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1)
        x = x + linear(f"{place}.1.to_out", rearrange(weights @ v, "b h n d -> b n (h d)"))
    return norm("transformer.norm", x)


# text2img-large's, and the layout model's, which reads boxes and has twice as many layers as it is wide in proportion.
@pytest.mark.parametrize("config", [SMALL, BertConfig(vocabulary=82, length=92, width=32, layers=5, heads=4)])
def test_the_original_names_mean_the_same(config: BertConfig) -> None:
    ours = scrambled(BertEncoder(config))
    tensors = foreign_tensors(ours, original_bert_keys(config))
    ids = torch.randint(0, config.vocabulary, (2, config.length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert relative_error(ours(ids), original(tensors, ids, config.heads)) <= TOLERANCE
    table = original_bert_keys(config)
    assert [table.ours(name) for name in tensors] == list(ours.state_dict())
    assert {name for name in tensors if ".bias" in name and ".to_" in name and "to_out" not in name} == {
        "transformer.to_logits.bias"
    }


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(BertConfig(), 581_994_042), (BertConfig(vocabulary=8192, length=92, width=512, layers=16), 58_858_496)],
    ids=["text2img-large", "layout2img"],
)
def test_the_published_sizes(config: BertConfig, parameters: int) -> None:
    with torch.device("meta"):
        ours = BertEncoder(config)
        theirs = LDMBertModel(
            LDMBertConfig(
                vocab_size=config.vocabulary,
                max_position_embeddings=config.length,
                encoder_layers=config.layers,
                encoder_ffn_dim=4 * config.width,
                d_model=config.width,
            )
        )
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(parameter.numel() for parameter in theirs.parameters())
    assert count == parameters  # text2img-large: with its UNet's 872 million the paper's 1.45 billion


def test_a_pickled_weight_file_is_read(theirs: LDMBertModel, tmp_path: Path) -> None:
    expected = load_bert(tmp_path / "theirs")(IDS)
    file = tmp_path / "theirs" / "model.safetensors"
    torch.save(load_file(file), tmp_path / "theirs" / "pytorch_model.bin")
    file.unlink()
    assert torch.equal(load_bert(tmp_path / "theirs")(IDS), expected)


def test_too_many_tokens_are_refused() -> None:
    with pytest.raises(BadInput, match="got 13 tokens; it has 12 positions"):
        BertEncoder(SMALL)(torch.zeros(1, 13, dtype=torch.int64))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_type", "bert"),
        ("activation_function", "relu"),
        ("scale_embedding", True),
        ("encoder_ffn_dim", 100),
        ("encoder_layers", 10**9),
        ("head_dim", 0),
    ],
)
def test_another_text_transformer_is_refused(field: str, value: Any, theirs: LDMBertModel, tmp_path: Path) -> None:
    file = tmp_path / "theirs" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(BadCheckpoint, match=field):
        load_bert(tmp_path / "theirs")


def test_a_missing_tensor_is_named(theirs: LDMBertModel, tmp_path: Path) -> None:
    file = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.2.fc1.bias"]
    save_file(tensors, file)
    with pytest.raises(BadCheckpoint, match=r"1 missing: model\.layers\.2\.fc1\.bias"):
        load_bert(tmp_path / "theirs")


def test_padding_is_read_like_any_token() -> None:
    ours = scrambled(BertEncoder(SMALL))
    with torch.no_grad():
        short, long = ours(IDS[:1, :3]), ours(IDS[:1])
    assert not torch.allclose(short, long[:, :3], atol=1e-3)
