"""SimGAN's networks are the paper's: counts, sizes, what a pixel sees, and where gradients go."""

import pytest
import torch

from facewright_refiner.networks import Discriminator, parameter_count, refiner_of


def seen_px(network, channels, height, width, choose):
    """Return height and width of the part of the input that one output value depends on."""
    picture = torch.zeros(1, channels, height, width, requires_grad=True)
    with torch.no_grad():
        for parameter in network.parameters():  # positive weights, so that no ReLU or pool hides a path
            parameter.copy_(parameter.abs() + 1e-3)
    jitter = torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0))
    total = 0
    for shift in range(4):  # a pool passes one path at a time: take the union over different pictures
        value = choose(network(picture + jitter.roll(shift * 5, -1)))
        total = total + torch.autograd.grad(value, picture)[0].abs()
    rows, columns = (total[0, 0].sum(dim) > 0 for dim in (1, 0))
    return int(rows.sum()), int(columns.sum())


def test_the_parameters_are_as_many_as_the_papers():
    assert parameter_count(refiner_of("eye", 1, 4)) == 296_129
    assert parameter_count(Discriminator(1)) == 75_906
    # by hand, from the published layers: 7x7-64, 10 blocks, 1x1; and 7x7-96, 5x5-64, 3x3-32, 1x1-32, 1x1-2
    assert parameter_count(refiner_of("depth", 1, 10)) == 49 * 64 + 64 + 10 * 2 * (9 * 64 * 64 + 64) + 65
    assert parameter_count(Discriminator(1, "depth")) == 4800 + 25 * 96 * 64 + 64 + 9 * 64 * 32 + 32 + 1056 + 66


@pytest.mark.parametrize(
    ("family", "channels", "size", "patches"),
    [("eye", 1, (35, 55), (9, 14)), ("eye", 3, (36, 60), (9, 15)), ("depth", 1, (224, 224), (7, 7))],
)
def test_the_refiner_keeps_the_size_and_the_discriminator_makes_a_map(family, channels, size, patches):
    picture = torch.zeros(2, channels, *size)
    with torch.inference_mode():
        assert refiner_of(family, channels, 1, features=8)(picture).shape == picture.shape
        assert Discriminator(channels, family)(picture).shape == (2, 2, *patches)


def test_a_pixel_of_the_refiner_sees_19_px_and_a_patch_is_23_px():
    refiner = refiner_of("eye", 1, 4, features=4)
    before_tanh = torch.nn.Sequential(refiner.stem, torch.nn.ReLU(), refiner.blocks, refiner.head)
    assert seen_px(before_tanh, 1, 41, 51, lambda out: out[0, 0, 20, 25]) == (19, 19)
    assert seen_px(Discriminator(1), 1, 64, 72, lambda out: out[0, 0, 8, 9]) == (23, 23)


def test_every_weight_of_both_networks_gets_a_gradient_from_the_adversary():
    torch.manual_seed(0)
    refiner, discriminator = refiner_of("eye", 3, 4), Discriminator(3)
    discriminator(refiner(torch.rand(2, 3, 35, 55)))[:, 0].sum().backward()
    for network in (refiner, discriminator):
        for name, parameter in network.named_parameters():
            if name == "layers.9.bias":  # of the map that the sum leaves out, too
                assert parameter.grad.tolist() == [2 * 9 * 14, 0]
            else:
                assert parameter.grad.abs().sum() > 0, name


def test_a_picture_is_refined_alike_alone_and_in_company():
    torch.manual_seed(0)
    refiner, pictures = refiner_of("eye", 1, 2, features=8).eval(), torch.rand(3, 1, 35, 55)
    with torch.inference_mode():
        assert torch.allclose(refiner(pictures)[1:2], refiner(pictures[1:2]), atol=1e-6)
