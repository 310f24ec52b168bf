"""LoRAs go from style to style and back without a bit lost, and ranks and alphas go with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from weights.references import noise

from adapters.conftest import Reference
from adapters.low_rank import dotted, kohya, layers, matrices, write, write_peft
from safelight.adapters import LoRA, Update, open_lora, save_lora
from safelight.configs import UNetConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.formats import read_file

# The shape of the reference UNet's names; widths do not matter here.
SMALL = UNetConfig(channels=(32, 32), attention=("cross", "none"), heads=(1, 1))


def mixed(reference: Reference, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A LoRA of all layers, with several ranks and alphas."""
    unet = matrices(reference.unet, layers(reference.unet))
    text = matrices(reference.text_encoder, layers(reference.text_encoder), seed=1)
    for name in list(unet)[::3]:
        unet[name] = unet[name][0][:2], unet[name][1][:, :2]
    tensors = {name: tensor.to(dtype) for name, tensor in kohya(unet, text).items()}
    for place, name in enumerate(name for name in tensors if name.endswith(".alpha")):
        tensors[name] = torch.tensor([1.0, 0.5, 8.0][place % 3], dtype=dtype)
    return tensors


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(
        torch.equal(tensor, theirs[name]) and tensor.dtype == theirs[name].dtype for name, tensor in ours.items()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("style", ["diffusers", "peft", "kohya"])
def test_through_another_style_and_back(style: str, dtype: torch.dtype, reference: Reference, tmp_path: Path) -> None:
    first = write(tmp_path / "first.safetensors", mixed(reference, dtype), {"ss_base_model_version": "sd_v1"})
    save_lora(tmp_path / "between", open_lora(first, SMALL), style, SMALL)
    save_lora(tmp_path / "last.safetensors", open_lora(tmp_path / "between", SMALL), "kohya", SMALL)
    assert_same(read_file(tmp_path / "last.safetensors").tensors, mixed(reference, dtype))
    if style != "peft":
        assert read_file(tmp_path / "last.safetensors").metadata["ss_base_model_version"] == "sd_v1"


def test_peft_is_told_every_rank_and_alpha(tmp_path: Path) -> None:
    shapes = {"conv_out": (3, 16, 4, 2.0), "level_embedding.linear1": (3, 16, 64, 2.0), "conv_in": (1, 4, 16, 0.5)}
    updates = {n: Update(down=noise(r, i), up=noise(o, r), alpha=alpha) for n, (r, i, o, alpha) in shapes.items()}
    save_lora(tmp_path / "lora", LoRA(unet=updates), "peft", SMALL)
    settings = json.loads((tmp_path / "lora" / "unet" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (3, 2)
    assert settings["rank_pattern"] == {"conv_in": 1}
    assert settings["alpha_pattern"] == {"conv_in": 0.5}
    assert settings["target_modules"] == ["conv_in", "conv_out", "time_embedding.linear_1"]


def test_what_diffusers_wrote_goes_through_kohyas_and_back(reference: Reference, tmp_path: Path) -> None:
    unet, text = (
        matrices(reference.unet, layers(reference.unet)),
        matrices(reference.text_encoder, ["encoder.layers.0.mlp.fc1"]),
    )
    theirs = dotted((".lora_A.weight", ".lora_B.weight"), unet, text)
    lora = open_lora(write(tmp_path / "theirs", theirs), SMALL)
    save_lora(tmp_path / "kohya", lora, "kohya", SMALL)
    assert not [name for name in read_file(tmp_path / "kohya").tensors if name.endswith(".alpha")]
    save_lora(tmp_path / "ours", open_lora(tmp_path / "kohya", SMALL), "diffusers", SMALL)
    assert_same(read_file(tmp_path / "ours").tensors, theirs)
    assert "lora_adapter_metadata" not in read_file(tmp_path / "ours").metadata


def test_what_peft_wrote_comes_back(reference: Reference, tmp_path: Path) -> None:
    unet, text = (
        matrices(reference.unet, layers(reference.unet)),
        matrices(reference.text_encoder, layers(reference.text_encoder)),
    )
    theirs = write_peft(tmp_path / "theirs", unet, text)
    save_lora(tmp_path / "ours", open_lora(theirs, SMALL), "peft", SMALL)
    for part in ("unet", "text_encoder"):
        file, settings = f"{part}/adapter_model.safetensors", f"{part}/adapter_config.json"
        assert_same(read_file(tmp_path / "ours" / file).tensors, read_file(theirs / file).tensors)
        written, read = (json.loads((folder / settings).read_text()) for folder in (tmp_path / "ours", theirs))
        assert read.items() <= written.items()
    alone = open_lora(theirs / "unet", SMALL)  # one network's folder, or its file
    assert alone.unet and not alone.text_encoder
    assert open_lora(theirs / "unet" / "adapter_model.safetensors", SMALL).unet["conv_in"].alpha == 2


PAIRS = {
    "conv_in": "input_blocks_0_0",
    "time_embedding_linear_1": "time_embed_0",
    "conv_out": "out_2",
    "down_blocks_0_resnets_1_conv1": "input_blocks_2_0_in_layers_2",
    "down_blocks_0_resnets_0_time_emb_proj": "input_blocks_1_0_emb_layers_1",
    "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": "input_blocks_1_1_transformer_blocks_0_attn1_to_q",
    "down_blocks_0_downsamplers_0_conv": "input_blocks_3_0_op",
    "down_blocks_1_resnets_0_conv_shortcut": "input_blocks_4_0_skip_connection",
    "down_blocks_2_attentions_1_proj_in": "input_blocks_8_1_proj_in",
    "mid_block_attentions_0_transformer_blocks_0_ff_net_2": "middle_block_1_transformer_blocks_0_ff_net_2",
    "mid_block_resnets_1_conv2": "middle_block_2_out_layers_3",
    "up_blocks_0_upsamplers_0_conv": "output_blocks_2_1_conv",
    "up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k": "output_blocks_3_1_transformer_blocks_0_attn2_to_k",
    "up_blocks_1_upsamplers_0_conv": "output_blocks_5_2_conv",
    "up_blocks_3_attentions_2_proj_out": "output_blocks_11_1_proj_out",
}


@pytest.mark.parametrize("name", PAIRS)
def test_kohyas_names_of_the_original_unet(name: str, tmp_path: Path) -> None:
    """The pairs follow the numbering of UNetModel in openaimodel.py of CompVis/latent-diffusion."""
    places = []
    for layer in (name, PAIRS[name]):
        tensors = {f"lora_unet_{layer}.lora_down.weight": noise(2, 4), f"lora_unet_{layer}.lora_up.weight": noise(4, 2)}
        places.append(list(open_lora(write(tmp_path / layer, tensors)).unet))
    assert len(places[0]) == 1
    assert places[0] == places[1]


def one(alpha: float | None = None, **tensors: Tensor) -> LoRA:
    return LoRA(unet={"conv_in": Update(down=noise(2, 4, 3, 3), up=noise(32, 2, 1, 1), alpha=alpha, **tensors)})


def test_an_alpha_that_half_precision_cannot_hold_stays_exact(tmp_path: Path) -> None:
    half = Update(down=noise(2, 4).half(), up=noise(32, 2).half(), alpha=0.1)
    save_lora(tmp_path / "lora", LoRA(unet={"conv_in": half}))
    assert open_lora(tmp_path / "lora").unet["conv_in"].alpha == pytest.approx(0.1, rel=1e-7)


def header(settings: object) -> dict[str, str]:
    return {"lora_adapter_metadata": json.dumps(settings)}


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"unet.r": 2, "unet.lora_alpha": 3}, 1.5),
        ({"unet.lora_alpha": 3, "unet.alpha_pattern": {"conv_in": 5}}, 2.5),
        ({"unet.lora_alpha": 3, "unet.alpha_pattern": {"in": 5}}, 1.5),
        ({"unet.lora_alpha": 3, "unet.use_rslora": True}, 3 / 2**0.5),
        ({"text_encoder.lora_alpha": 3}, 1.0),
    ],
)
def test_the_settings_in_a_header_count(settings: dict[str, object], scale: float, tmp_path: Path) -> None:
    tensors = {"unet.conv_in.lora_A.weight": noise(2, 4, 3, 3), "unet.conv_in.lora_B.weight": noise(32, 2, 1, 1)}
    lora = open_lora(write(tmp_path / "lora", tensors, header(settings)))
    assert lora.unet["conv_in"].scale == pytest.approx(scale)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"unet.use_dora": True}, "use_dora is True"),
        ({"unet.lora_alpha": "many"}, "lora_alpha is 'many'"),
        ({"unet.alpha_pattern": [1]}, "alpha_pattern"),
        ({"unet.alpha_pattern": {".*attn1.*": 2}}, "alpha_pattern has the regular expression '.*attn1.*'"),
        ([], "list"),
    ],
)
def test_settings_that_make_no_sense(settings: object, complaint: str, tmp_path: Path) -> None:
    tensors = {"unet.conv_in.lora_A.weight": noise(2, 4, 3, 3), "unet.conv_in.lora_B.weight": noise(32, 2, 1, 1)}
    with pytest.raises(BadCheckpoint, match=complaint):
        open_lora(write(tmp_path / "lora", tensors, header(settings)))
    with pytest.raises(BadCheckpoint, match="JSON"):
        open_lora(write(tmp_path / "lora", tensors, {"lora_adapter_metadata": "{"}))


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Did you mean 'kohya'"):
        save_lora(tmp_path / "lora", one(), "koyha")
    with pytest.raises(BadInput, match="no layer"):
        save_lora(tmp_path / "lora", LoRA())
    decomposed = Update(down=noise(2, 4, 1, 1), up=noise(32, 2, 1, 1), middle=noise(2, 2, 3, 3))
    for style in ("diffusers", "peft"):
        with pytest.raises(BadInput, match="CP decomposition"):
            save_lora(tmp_path / "lora", LoRA(unet={"conv_in": decomposed}), style)
    with pytest.raises(BadInput, match="'nowhere'"):
        save_lora(tmp_path / "lora", LoRA(unet={"nowhere": one().unet["conv_in"]}))
    assert not list(tmp_path.iterdir())
