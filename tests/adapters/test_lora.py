"""LoRAs of every style do what W + (alpha / r) B A does in diffusers' networks, and come off again."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from weights.references import TOLERANCE, noise, relative_error

from adapters.conftest import Model, Reference
from adapters.low_rank import (
    ALPHA,
    RANK,
    Matrices,
    Writer,
    attention,
    dotted,
    kohya,
    layers,
    matrices,
    processors,
    updated,
    write,
    write_peft,
)
from safelight.adapters import LoRA, Update, attach_lora, merge_lora, open_lora
from safelight.configs import UNetConfig
from safelight.errors import BadCheckpoint, BadInput

SCALE = ALPHA / RANK
IDS = torch.tensor([[1, 7, 30, 4]])
ATTACHING = {"beside": attach_lora, "merged": merge_lora}


def as_pickle(path: Path, unet: Matrices, text: Matrices) -> Path:
    torch.save(kohya(unet, text), path)
    return path


# How a file is written, and the scale that it means.
STYLES: dict[str, tuple[Writer, float]] = {
    "kohya": (lambda path, unet, text: write(path, kohya(unet, text)), SCALE),
    "kohya without alpha": (lambda path, unet, text: write(path, kohya(unet, text, None)), 1.0),
    "kohya in bfloat16": (
        lambda path, unet, text: write(path, {n: t.bfloat16() for n, t in kohya(unet, text).items()}),
        SCALE,
    ),
    "kohya in a pickle": (as_pickle, SCALE),
    "diffusers": (
        lambda path, unet, text: write(path, dotted((".lora_A.weight", ".lora_B.weight"), unet, text, "")),
        1.0,
    ),
    "diffusers, .lora.down": (
        lambda path, unet, text: write(path, dotted((".lora.down.weight", ".lora.up.weight"), unet, text)),
        1.0,
    ),
    "diffusers, .lora_linear_layer.down": (
        lambda path, unet, text: write(
            path, dotted((".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"), unet, text)
        ),
        1.0,
    ),
    "diffusers with an adapter's name": (
        lambda path, unet, text: write(
            path, dotted((".lora_A.default.weight", ".lora_B.default.weight"), unet, text, "")
        ),
        1.0,
    ),
    "PEFT": (write_peft, SCALE),
}
ROUNDED = {"kohya in bfloat16"}


def predict(unet: nn.Module, context: Tensor) -> Tensor:
    with torch.no_grad():
        found = unet(noise(2, 4, 8, 8), torch.tensor([3, 981]), context)
    return found if isinstance(found, Tensor) else found.sample


def read(encoder: nn.Module) -> Tensor:
    with torch.no_grad():
        found = encoder(IDS)
    return found if isinstance(found, Tensor) else found.last_hidden_state


def weights(model: Model) -> dict[str, Tensor]:
    networks = {"unet": model.unet, "text": model.text_encoder}
    return {
        f"{part}.{name}": tensor.clone()
        for part, network in networks.items()
        for name, tensor in network.state_dict().items()
    }


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def assert_as_in(reference: Reference, model: Model, unet: Matrices, text: Matrices, scale: float) -> None:
    """Ours with the LoRA on equal theirs with the products in their weights, and differ from theirs without."""
    context = noise(2, 5, 24, seed=2)
    expected = predict(updated(reference.unet, unet, scale), context)
    assert relative_error(predict(model.unet, context), expected) <= TOLERANCE
    assert relative_error(predict(reference.unet, context), expected) > 0.05
    expected = read(updated(reference.text_encoder, text, scale))
    assert relative_error(read(model.text_encoder), expected) <= TOLERANCE
    assert relative_error(read(reference.text_encoder), expected) > 0.05


@pytest.mark.parametrize("attaching", ATTACHING)
@pytest.mark.parametrize("style", STYLES)
def test_every_layer_in_every_style(
    style: str, attaching: str, reference: Reference, model: Model, tmp_path: Path
) -> None:
    unet = matrices(reference.unet, layers(reference.unet))
    text = matrices(reference.text_encoder, layers(reference.text_encoder), seed=1)
    write_style, scale = STYLES[style]
    if style in ROUNDED:
        unet, text = ({n: (d.bfloat16(), u.bfloat16()) for n, (d, u) in found.items()} for found in (unet, text))
    lora = open_lora(write_style(tmp_path / "lora", unet, text), model.unet.config)
    before = weights(model)
    with ATTACHING[attaching](model, [(lora, 1.0)]):
        assert_as_in(reference, model, unet, text, scale)
    assert_same(weights(model), before)
    context = noise(2, 5, 24, seed=2)
    assert relative_error(predict(model.unet, context), predict(reference.unet, context)) <= TOLERANCE


@pytest.mark.parametrize("prefix", ["unet.", ""])
def test_attention_processors_of_older_diffusers(
    prefix: str, reference: Reference, model: Model, tmp_path: Path
) -> None:
    unet = matrices(reference.unet, attention(layers(reference.unet)))
    text = matrices(reference.text_encoder, attention(layers(reference.text_encoder)))
    path = write(tmp_path / "pytorch_lora_weights.safetensors", processors(unet, text, prefix))
    assert path.parent == tmp_path
    with attach_lora(model, [(open_lora(tmp_path, model.unet.config), 1.0)]):
        assert_as_in(reference, model, unet, text, 1.0)


@pytest.mark.parametrize("attaching", ATTACHING)
def test_several_at_once_with_weights(attaching: str, reference: Reference, model: Model, tmp_path: Path) -> None:
    found = [matrices(reference.unet, layers(reference.unet)[i::2], seed=i) for i in (0, 1, 0)]
    loras = [
        open_lora(write(tmp_path / f"{i}.safetensors", kohya(unet, {})), model.unet.config)
        for i, unet in enumerate(found)
    ]
    strengths = [0.7, -0.4, 0.2]
    expected = reference.unet
    for unet, strength in zip(found, strengths, strict=True):
        expected = updated(expected, unet, strength * SCALE)
    context = noise(2, 5, 24, seed=2)
    with ATTACHING[attaching](model, list(zip(loras, strengths, strict=True))):
        assert relative_error(predict(model.unet, context), predict(expected, context)) <= TOLERANCE


def test_the_cp_decomposition_of_a_convolution(model: Model, tmp_path: Path) -> None:
    down, middle, up = noise(3, 4, 1, 1), noise(3, 3, 3, 3, seed=2), noise(16, 3, 1, 1, seed=3)
    tensors = {"lora_down": down, "lora_mid": middle, "lora_up": up}
    path = write(tmp_path / "cp", {f"lora_unet_conv_in.{name}.weight": tensor for name, tensor in tensors.items()})
    lora = open_lora(path, model.unet.config)
    # One convolution after the other is one convolution with the product of their kernels.
    kernel = torch.einsum("or,rsyx,si->oiyx", up[..., 0, 0], middle, down[..., 0, 0])
    latent = noise(1, 4, 8, 8)
    expected = nn.functional.conv2d(latent, model.unet.conv_in.weight + kernel, model.unet.conv_in.bias, padding=1)
    for attach in ATTACHING.values():
        with attach(model, [(lora, 1.0)]), torch.no_grad():
            assert relative_error(model.unet.conv_in(latent), expected) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("attaching", ATTACHING)
def test_half_precision(attaching: str, dtype: torch.dtype, reference: Reference, model: Model, tmp_path: Path) -> None:
    text = matrices(reference.text_encoder, layers(reference.text_encoder), seed=1)
    lora = open_lora(write(tmp_path / "lora", kohya({}, text)), model.unet.config)
    model.text_encoder.to(dtype)
    before = weights(model)
    with ATTACHING[attaching](model, [(lora, 1.0)]):
        found = read(model.text_encoder)
        assert found.dtype == dtype
        expected = read(updated(reference.text_encoder, text, SCALE))
        assert relative_error(found.float(), expected) < (0.1 if dtype == torch.bfloat16 else 0.02)
        model.text_encoder.float()  # as a half-precision run that overflows does
        assert relative_error(read(model.text_encoder), expected) < (0.05 if dtype == torch.bfloat16 else 0.01)
        model.text_encoder.to(dtype)
    assert_same(weights(model), before)


def small(seed: int = 0) -> LoRA:
    update = Update(down=noise(2, 4, 3, 3, seed=seed), up=noise(16, 2, 1, 1, seed=seed + 1))
    return LoRA(unet={"conv_in": update}, name=f"LoRA {seed}")


@pytest.mark.parametrize("attaching", ATTACHING)
def test_attachments_come_off_in_any_order(attaching: str, model: Model) -> None:
    attach, latent, before = ATTACHING[attaching], noise(1, 4, 8, 8), weights(model)

    def found() -> Tensor:
        with torch.no_grad():
            return model.unet.conv_in(latent)

    expected = found()
    with attach(model, [(small(5), 1.0)]):
        of_second = found()
    first, second = attach(model, [(small(), 1.0)]), attach(model, [(small(5), 1.0)])
    assert relative_error(found(), of_second) > 0.1
    first.detach()
    assert torch.equal(found(), of_second)
    with attach(model, [(small(), 1.0)]):
        assert relative_error(found(), of_second) > 0.1
    second.detach()
    second.detach()
    assert torch.equal(found(), expected)
    assert_same(weights(model), before)


def test_a_weight_that_was_replaced_is_told(model: Model) -> None:
    merged = merge_lora(model, [(small(), 1.0)])
    weight = model.unet.conv_in.weight
    model.unet.conv_in.weight = nn.Parameter(weight.clone())
    with pytest.raises(BadInput, match="weight was replaced"):
        merged.detach()
    model.unet.conv_in.weight = weight
    merged.detach()


def test_a_merged_model_that_is_dropped_leaves_memory(model: Model) -> None:
    merge_lora(model, [(small(), 1.0)])
    layer = weakref.ref(model.unet.conv_in)
    model.unet = None
    gc.collect()
    assert layer() is None


def test_every_key_that_fits_nothing_is_listed(reference: Reference, model: Model, tmp_path: Path) -> None:
    unet = matrices(reference.unet, layers(reference.unet))
    wrong = {
        "lora_unet_nowhere.lora_down.weight": noise(2, 3),
        "lora_unet_nowhere.lora_up.weight": noise(3, 2),
        "something.else": noise(1),
        "lora_unet_conv_out.alpha": torch.tensor(1.0),
    }
    tensors = kohya(unet, {})
    del tensors["lora_unet_conv_out.lora_up.weight"]
    with pytest.raises(BadCheckpoint, match="5 tensors") as error:
        open_lora(write(tmp_path / "lora", tensors | wrong), model.unet.config)
    assert all(name in str(error.value) for name in wrong)


def test_layers_that_the_model_lacks_and_other_shapes_are_listed(model: Model, tmp_path: Path) -> None:
    names = ["lora_unet_down_blocks_1_downsamplers_0_conv", "lora_unet_mid_block_attentions_0_proj_in"]
    names += ["lora_te_text_model_encoder_layers_7_mlp_fc1"]
    tensors = {f"{name}.lora_down.weight": noise(2, 7) for name in names}
    tensors |= {f"{name}.lora_up.weight": noise(9, 2) for name in names}
    lora = open_lora(write(tmp_path / "lora", tensors), model.unet.config)
    for attach in ATTACHING.values():
        with pytest.raises(BadCheckpoint) as error:
            attach(model, [(small(), 1.0), (lora, 1.0)])
        assert "2 not in this model" in str(error.value)
        assert "proj_in is for 9x7, the model's is 32x32" in str(error.value)
        assert all(name in str(error.value) for name in names)
        assert str(tmp_path) in str(error.value)
    assert not model.unet.conv_in._forward_hooks


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_is_a_number(weight: float, model: Model) -> None:
    for attach in ATTACHING.values():
        with pytest.raises(BadInput, match=f"LoRA 0 has the weight {weight}"):
            attach(model, [(small(), weight)])


def test_a_whole_checkpoint_is_no_lora(tmp_path: Path) -> None:
    names = {f"first_stage_model.{place:04}.weight": noise(1) for place in range(1200)}
    with pytest.raises(BadCheckpoint, match=r"no LoRA: it holds 1200 tensors, such as 'first_stage_model") as error:
        open_lora(write(tmp_path / "checkpoint", names))
    assert len(str(error.value)) < 400


def test_of_very_many_names_not_all_are_spelt_out(tmp_path: Path) -> None:
    names = {f"lora_unet_{place:04}.lora_up.weight": noise(1) for place in range(1200)}
    with pytest.raises(BadCheckpoint, match=r"1200 tensors .*_0999\.lora_up\.weight, and 200 more"):
        open_lora(write(tmp_path / "checkpoint", names))


def test_a_model_without_a_text_encoder_has_no_such_layers(model: Model) -> None:
    model.text_encoder = None
    lora = LoRA(text_encoder={"layers.0.perceptron.up": Update(down=noise(1, 24), up=noise(40, 1))})
    with pytest.raises(BadCheckpoint, match=r"1 not in this model: text_encoder\.layers\.0\.perceptron\.up"):
        attach_lora(model, [(lora, 1.0)])


def test_a_lora_of_sd_1_on_sd_2_is_told_by_the_width(model: Model, tmp_path: Path) -> None:
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {f"{layer}.lora_down.weight": noise(4, 768), f"{layer}.lora_up.weight": noise(16, 4)}
    lora = open_lora(write(tmp_path / "lora", tensors))
    with pytest.raises(BadCheckpoint, match="attn2_to_k is for 16x768, the model's is 16x24"):
        attach_lora(model, [(lora, 1.0)])


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"lora_down.weight": noise(2, 4, 3, 3), "lora_up.weight": noise(16, 3, 1, 1)}, "same rank"),
        ({"lora_down.weight": noise(2, 4, 3), "lora_up.weight": noise(16, 2)}, "down must be"),
        ({"lora_down.weight": noise(2, 4).int(), "lora_up.weight": noise(16, 2)}, "not floats"),
        ({"lora_down.weight": noise(2, 4), "lora_up.weight": noise(16, 2, 3, 3)}, "up out x r"),
        ({"lora_down.weight": noise(0, 4), "lora_up.weight": noise(16, 0)}, "same rank"),
        ({"lora_down.weight": noise(2, 4), "lora_up.weight": noise(16, 2), "alpha": noise(2)}, "one finite number"),
        (
            {"lora_down.weight": noise(2, 4), "lora_up.weight": noise(16, 2), "alpha": torch.tensor(torch.nan)},
            "one finite number",
        ),
        (
            {"lora_down.weight": noise(2, 4), "lora_up.weight": noise(16, 2), "lora_mid.weight": noise(3, 2, 3, 3)},
            "do not fit each other",
        ),
    ],
)
def test_tensors_that_do_not_fit_each_other(tensors: dict[str, Tensor], complaint: str, tmp_path: Path) -> None:
    path = write(tmp_path / "lora", {f"lora_unet_conv_in.{name}": tensor for name, tensor in tensors.items()})
    with pytest.raises(BadCheckpoint, match=complaint) as error:
        open_lora(path)
    assert "lora_unet_conv_in" in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lora_unet_conv_in.dora_scale", "DoRA"),
        ("unet.conv_in.lora_magnitude_vector.weight", "DoRA"),
        ("lora_unet_conv_in.hada_w1_a", "LoHa"),
        ("lora_unet_conv_in.lokr_w1", "LoKr"),
        ("lora_unet_conv_in.oft_blocks", "OFT"),
        ("lora_unet_conv_in.diff", "full weight differences"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", "SDXL"),
        ("lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", "diffusion transformer"),
        ("unet.conv_in.lora_B.bias", "biases"),
        ("ip_adapter.1.to_k_ip.weight", "IP-Adapter"),
        ("adapter.body.0.resnets.0.block1.weight", "T2I-Adapter"),
        ("lora_controlnet", "ControlNet as a LoRA"),
    ],
)
def test_other_adapters_are_refused_by_name(name: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=kind) as error:
        open_lora(write(tmp_path / "lora", {name: noise(2, 2)}))
    assert name in str(error.value)


def test_a_folder_without_a_lora_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"pytorch_lora_weights\.safetensors"):
        open_lora(tmp_path)
    with pytest.raises(BadCheckpoint, match="no tensor"):
        open_lora(write(tmp_path / "empty", {}))
    with pytest.raises(BadCheckpoint, match="no such file"):
        open_lora(tmp_path / "absent")


def test_names_are_those_of_stable_diffusion_by_default(tmp_path: Path) -> None:
    layer = "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_0_proj"
    tensors = {f"{layer}.lora_down.weight": noise(1, 320), f"{layer}.lora_up.weight": noise(2560, 1)}
    path = write(tmp_path / "lora", tensors)
    assert list(open_lora(path).unet) == ["up.3.blocks.2.attention.blocks.0.perceptron.up"]
    with pytest.raises(BadCheckpoint, match="no place"):
        open_lora(path, UNetConfig(attention=("none",) * 4))
