"""ControlNet against diffusers' ControlNetModel with the same random weights, alone and on its UNet."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel
from torch import Tensor
from weights.references import TOLERANCE, noise, relative_error, scrambled

from adapters.conftest import WIDTH, Model, Reference
from adapters.low_rank import write
from safelight.adapters import (
    Control,
    ControlConfig,
    ControlNet,
    Controls,
    attach_controls,
    open_controlnet,
    save_control_file,
    save_controlnet,
)
from safelight.catalog import published
from safelight.configs import UNetConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.formats import read_file

HINTS = (8, 12, 16)  # widths: the picture is four times as large as the latent
SHAPE: dict[str, Any] = {
    "block_out_channels": (16, 32),
    "layers_per_block": 2,
    "norm_num_groups": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 2,
    "conditioning_embedding_out_channels": HINTS,
}
CASES: dict[str, dict[str, Any]] = {
    "sd 1": {},
    "sd 2": {"use_linear_projection": True, "attention_head_dim": [2, 4]},
    "one block, three levels": {
        "block_out_channels": (16, 32, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    },
    "the text beside the noise level": {"addition_embed_type": "text", "addition_embed_type_num_heads": 4},
    "grey hints, no halving": {"conditioning_channels": 1, "conditioning_embedding_out_channels": (8,)},
}


def make(case: str = "sd 1", seed: int = 0) -> ControlNetModel:
    return scrambled(ControlNetModel(**SHAPE | CASES[case]), seed).requires_grad_(False)


def inputs(factor: int = 4, channels: int = 3, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latent, timestep, context, hint."""
    hint = torch.rand(1, channels, 8 * factor, 12 * factor, generator=torch.Generator().manual_seed(seed))
    return noise(2, 4, 8, 12, seed=seed), torch.tensor([3, 981]), noise(2, 5, WIDTH, seed=seed + 1), hint


def ours_of(theirs: ControlNetModel, folder: Path) -> ControlNet:
    theirs.save_pretrained(folder)
    return open_controlnet(folder).eval()


@pytest.mark.parametrize("case", CASES)
def test_the_same_residuals_as_diffusers(case: str, tmp_path: Path) -> None:
    theirs = make(case)
    ours = ours_of(theirs, tmp_path / "theirs")
    config = ours.config
    latent, timestep, context, hint = inputs(config.factor, config.hint_channels)
    with torch.no_grad():
        expected = theirs(latent, timestep, context, hint)
        found = ours(latent, timestep, context, hint)
    assert len(found.skips) == len(expected.down_block_res_samples) == len(config.skip_channels)
    for skip, wanted in zip(found.skips, expected.down_block_res_samples, strict=True):
        assert relative_error(skip, wanted) <= TOLERANCE
    assert relative_error(found.middle, expected.mid_block_res_sample) <= TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_diffusers_opens_what_we_write(case: str, tmp_path: Path) -> None:
    theirs = make(case)
    save_controlnet(tmp_path / "ours", ours_of(theirs, tmp_path / "theirs"))
    again = ControlNetModel.from_pretrained(tmp_path / "ours")
    expected = theirs.state_dict()
    assert again.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    assert dict(again.config).items() >= {name: again.config[name] for name in SHAPE}.items()


def with_controls(
    reference: Reference, networks: list[ControlNetModel], hints: list[Tensor], strengths: list[float], timestep: Tensor
) -> Tensor:
    """What diffusers makes of several ControlNets: the residuals are summed."""
    latent, _, context, _ = inputs()
    skips: list[Tensor] | None = None
    for network, hint, strength in zip(networks, hints, strengths, strict=True):
        with torch.no_grad():
            found = network(latent, timestep, context, hint, conditioning_scale=strength)
        new = [*found.down_block_res_samples, found.mid_block_res_sample]
        skips = new if skips is None else [a + b for a, b in zip(skips, new, strict=True)]
    *down, middle = skips or [None]
    with torch.no_grad():
        return reference.unet(
            latent,
            timestep,
            context,
            down_block_additional_residuals=down or None,
            mid_block_additional_residual=middle,
        ).sample


def test_several_on_a_unet_as_in_diffusers(reference: Reference, model: Model, tmp_path: Path) -> None:
    theirs = [make(seed=seed) for seed in (0, 7)]
    ours = [ours_of(network, tmp_path / str(place)) for place, network in enumerate(theirs)]
    latent, _, context, hint = inputs()
    hints, strengths, timestep = [hint, hint.flip(2)], [0.8, -0.5], torch.tensor(500.0)
    controls = [
        Control(network=network, hint=hint, strength=strength)
        for network, hint, strength in zip(ours, hints, strengths, strict=True)
    ]
    expected = with_controls(reference, theirs, hints, strengths, timestep)
    without = reference.unet(latent, timestep, context).sample
    assert relative_error(expected, without) > 0.05
    before = copy.deepcopy(model.unet.state_dict())
    with torch.no_grad():
        with attach_controls(model.unet, controls, [500.0]):
            assert relative_error(model.unet(latent, timestep, context), expected) <= TOLERANCE
            assert relative_error(model.unet(latent, timestep=timestep, context=context), expected) <= TOLERANCE
        with attach_controls(model.unet, controls[:1], [500.0]), attach_controls(model.unet, controls[1:], [500.0]):
            assert relative_error(model.unet(latent, timestep, context), expected) <= TOLERANCE
        assert relative_error(model.unet(latent, timestep, context), without) <= TOLERANCE
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.unet.state_dict().items())


TIMESTEPS = [901.0, 701.0, 501.0, 301.0, 101.0]


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.0, 0.5), (0.2, 1.0), (0.25, 0.8), (0.9, 1.0), (0.41, 0.59)])
def test_it_works_during_the_same_steps_as_in_diffusers(
    start: float, end: float, reference: Reference, model: Model, tmp_path: Path
) -> None:
    theirs = make()
    control = Control(network=ours_of(theirs, tmp_path), hint=inputs()[3], start=start, end=end)
    latent, _, context, hint = inputs()
    active = []
    with attach_controls(model.unet, [control], torch.tensor(TIMESTEPS)), torch.no_grad():
        for timestep in reversed(TIMESTEPS):  # asked in any order
            found = model.unet(latent, timestep, context)
            without = with_controls(reference, [], [], [], torch.tensor(timestep))
            if relative_error(found, without) > TOLERANCE:
                expected = with_controls(reference, [theirs], [hint], [1.0], torch.tensor(timestep))
                assert relative_error(found, expected) <= TOLERANCE
                active.append(timestep)
    # From diffusers' StableDiffusionControlNetPipeline: "controlnet_keep".
    n = len(TIMESTEPS)
    assert active[::-1] == [t for i, t in enumerate(TIMESTEPS) if not (i / n < start or (i + 1) / n > end)]


def test_it_runs_in_its_own_precision_and_reads_only_the_latent_of_an_inpainting_unet(tmp_path: Path) -> None:
    theirs = make()
    network = ours_of(theirs, tmp_path)
    latent, _, context, hint = inputs()
    wide = torch.cat([latent, noise(2, 5, 8, 12, seed=9)], dim=1)
    controls = Controls([Control(network=network.bfloat16(), hint=hint)], [3.0])
    with torch.no_grad():
        found = controls.residuals(wide, torch.tensor([3.0, 3.0]), context)
        expected = theirs(latent, torch.tensor([3, 3]), context, hint)
    assert found is not None
    assert found.middle.dtype == torch.float32
    assert relative_error(found.middle, expected.mid_block_res_sample) < 0.1


def test_where_half_precision_overflows_it_runs_again_in_float32(tmp_path: Path) -> None:
    network = ours_of(make(), tmp_path)
    latent, _, context, hint = inputs()
    with torch.no_grad():
        network.zero_middle.weight.mul_(5e4 / network.zero_middle.weight.abs().max())
        expected = Controls([Control(network=network, hint=hint)], [3.0]).residuals(latent, 3.0, context)
        half = copy.deepcopy(network).half()
        assert float(expected.middle.abs().max()) > torch.finfo(torch.float16).max
        found = Controls([Control(network=half, hint=hint)], [3.0]).residuals(latent, 3.0, context)
    assert relative_error(found.middle, expected.middle) < 1e-2
    assert {weight.dtype for weight in half.parameters()} == {torch.float16}


def test_the_published_number_of_parameters() -> None:
    sd_2: dict[str, Any] = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20]}
    with torch.device("meta"):
        theirs = ControlNetModel(**sd_2, use_linear_projection=True)
        ours = {unet: ControlNet(ControlConfig(unet=unet)) for unet in (UNetConfig(), published("sd-2.1").unet)}
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (*ours.values(), theirs)]
    assert counts == [361_279_120, counts[2], counts[2]]


def test_a_new_one_changes_nothing() -> None:
    torch.manual_seed(0)
    unet = UNetConfig(channels=(16, 32), attention=("cross", "none"), heads=(2, 2), groups=8, context_width=WIDTH)
    found = ControlNet(ControlConfig(unet=unet, hint_widths=HINTS))(*inputs())
    assert not any(skip.any() for skip in found.skips)
    assert not found.middle.any()


# Where the original code keeps what diffusers keeps elsewhere: cldm/cldm.py of lllyasviel/ControlNet.
ORIGINAL = {
    "controlnet_cond_embedding.conv_in.weight": "input_hint_block.0.weight",
    "controlnet_cond_embedding.blocks.0.weight": "input_hint_block.2.weight",
    "controlnet_cond_embedding.blocks.5.bias": "input_hint_block.12.bias",
    "controlnet_cond_embedding.conv_out.weight": "input_hint_block.14.weight",
    "controlnet_down_blocks.0.weight": "zero_convs.0.0.weight",
    "controlnet_down_blocks.11.bias": "zero_convs.11.0.bias",
    "controlnet_mid_block.weight": "middle_block_out.0.weight",
    "conv_in.weight": "input_blocks.0.0.weight",
    "time_embedding.linear_2.weight": "time_embed.2.weight",
    "down_blocks.1.resnets.0.conv_shortcut.weight": "input_blocks.4.0.skip_connection.weight",
    "down_blocks.2.downsamplers.0.conv.bias": "input_blocks.9.0.op.bias",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": (
        "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    ),
}
PUBLISHED: dict[str, Any] = {  # the published number of blocks; narrow
    "block_out_channels": (8, 16, 16, 16),
    "norm_num_groups": 8,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "conditioning_embedding_out_channels": (4, 6, 8, 10),
}
NARROW = UNetConfig(channels=(8, 16, 16, 16), groups=8)


def test_the_original_layout_both_ways(tmp_path: Path) -> None:
    theirs = scrambled(ControlNetModel(**PUBLISHED))
    ours = ours_of(theirs, tmp_path / "theirs")
    save_control_file(tmp_path / "original.safetensors", ours)
    written = read_file(tmp_path / "original.safetensors").tensors
    for name, original in ORIGINAL.items():
        assert torch.equal(written[f"control_model.{original}"], theirs.state_dict()[name])
    again = open_controlnet(tmp_path / "original.safetensors", NARROW)
    assert again.config.hint_widths == (4, 6, 8, 10)
    save_controlnet(tmp_path / "again", again)
    last = ControlNetModel.from_pretrained(tmp_path / "again").state_dict()
    assert last.keys() == theirs.state_dict().keys()
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in last.items())


def test_diffusers_reads_the_original_layout_that_we_write(tmp_path: Path) -> None:
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    theirs = scrambled(ControlNetModel(**PUBLISHED))
    save_control_file(tmp_path / "original.safetensors", ours_of(theirs, tmp_path / "theirs"))
    converted = convert_controlnet_checkpoint(read_file(tmp_path / "original.safetensors").tensors, dict(theirs.config))
    assert converted.keys() == theirs.state_dict().keys()
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in converted.items())


def test_files_with_a_whole_model_without_a_prefix_or_in_the_diffusers_layout(tmp_path: Path) -> None:
    ours = ours_of(scrambled(ControlNetModel(**PUBLISHED)), tmp_path / "theirs")
    save_control_file(tmp_path / "original.safetensors", ours)
    plain = read_file(tmp_path / "original.safetensors").tensors
    whole = {"model.diffusion_model.out.0.weight": noise(3), "logvar": noise(2)} | plain
    files = [
        write(tmp_path / "whole.safetensors", whole),
        write(tmp_path / "bare.safetensors", {name.removeprefix("control_model."): t for name, t in plain.items()}),
        tmp_path / "theirs" / "diffusion_pytorch_model.safetensors",
    ]
    torch.save({"state_dict": dict(whole), "global_step": 3}, tmp_path / "control.pth")
    expected = ours.state_dict()
    for file in [*files, tmp_path / "control.pth"]:
        found = open_controlnet(file, NARROW).state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_a_file_alone_is_measured_against_the_published_ones(tmp_path: Path) -> None:
    ours = ours_of(scrambled(ControlNetModel(**PUBLISHED)), tmp_path / "theirs")
    save_control_file(tmp_path / "narrow.safetensors", ours)
    with pytest.raises(BadCheckpoint, match=r"misshapen: .*expected 320x"):
        open_controlnet(tmp_path / "narrow.safetensors")
    tensors = read_file(tmp_path / "narrow.safetensors").tensors
    del tensors["control_model.middle_block_out.0.bias"]
    with pytest.raises(BadCheckpoint, match=r"1 missing: middle_block_out\.0\.bias"):
        open_controlnet(write(tmp_path / "less.safetensors", tensors), NARROW)
    other = {name: t[:, :99] if "attn2.to_k" in name else t for name, t in tensors.items()}
    with pytest.raises(BadCheckpoint, match=r"text 99 wide.*768, 1024"):
        open_controlnet(write(tmp_path / "other.safetensors", other))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("difference", "difference from its UNet"),
        ("lora_controlnet", "as a LoRA"),
        ("lllite_unet_input_blocks_4_1.down.0.weight", "LLLite"),
        ("adapter.body.0.block1.weight", "T2I-Adapter"),
        ("image_proj.proj.weight", "IP-Adapter"),
        ("model.diffusion_model.out.0.weight", "no ControlNet"),
    ],
)
def test_other_adapters_are_refused_by_name(name: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=kind):
        open_controlnet(write(tmp_path / "file", {name: noise(2)}))


def test_a_folder_says_what_it_cannot_be(tmp_path: Path) -> None:
    for field, value in {"global_pool_conditions": True, "controlnet_conditioning_channel_order": "bgr"}.items():
        ControlNetModel(**SHAPE | {field: value}).save_pretrained(tmp_path / field)
        with pytest.raises(BadCheckpoint, match=field):
            open_controlnet(tmp_path / field)
    with pytest.raises(BadCheckpoint, match=r"config\.json"):
        open_controlnet(tmp_path)


def test_a_controlnet_of_another_unet_names_the_dimension(model: Model, tmp_path: Path) -> None:
    wide = ours_of(ControlNetModel(**SHAPE | {"cross_attention_dim": 32}), tmp_path / "wide")
    control = Control(network=wide, hint=inputs()[3])
    with pytest.raises(BadCheckpoint, match="context_width is 32 in the ControlNet and 24 in the UNet"):
        attach_controls(model.unet, [control], [1.0])
    assert not model.unet._forward_pre_hooks


def test_bad_hints_strengths_and_shares(model: Model, tmp_path: Path) -> None:
    network = ours_of(make(), tmp_path)
    latent, timestep, context, hint = inputs()
    for bad in (hint[..., :-4], hint[:, :2], hint[0], torch.cat([hint] * 3)):
        with pytest.raises(BadInput, match=r"must be \(1 or 2, 3, 32, 48\)"):
            network(latent, timestep, context, bad)
    with pytest.raises(BadInput, match="strength is nan"):
        Control(network=network, hint=hint, strength=float("nan"))
    for share in ((0.5, 0.5), (-0.1, 1.0), (0.0, 1.1), (0.9, 0.1)):
        with pytest.raises(BadInput, match="0 <= start < end <= 1"):
            Control(network=network, hint=hint, start=share[0], end=share[1])
    with pytest.raises(BadInput, match="classes is 5"):
        ControlConfig(unet=UNetConfig(classes=5))
