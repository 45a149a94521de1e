"""AASIST: graphs without an order, two kinds of nodes, its size, an echo that is learned."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import sound_toys

from bonafide.errors import InvalidInput
from bonafide.train import aasist, export

torch.set_num_threads(1)


def method(**changes: object) -> aasist.Method:
    given = {"samples": 6400, "filters": 24, "kernel": 65, "width": 8, "blocks": 2, "nodes": 8,
             "batch": 4}  # fmt: skip
    return aasist.Method(aasist.Settings(**{**given, **changes}))


def test_full_size() -> None:
    """With a second output, 161 more, it would be the 297,866 that are told of the paper's."""
    with torch.device("meta"):
        network = aasist.Network(aasist.Settings())
    count = sum(weights.numel() for weights in network.parameters())
    assert count == 297_705


def test_graphs_have_no_order() -> None:
    torch.manual_seed(0)
    layer = aasist.GraphAttention(6, 5, 2.0, 0.2).eval()
    nodes, order = torch.randn(2, 7, 6), torch.randperm(7)
    with torch.inference_mode():
        torch.testing.assert_close(layer(nodes[:, order]), layer(nodes)[:, order])


def test_both_kinds_keep_their_places_and_the_stack_node_sees_all() -> None:
    torch.manual_seed(0)
    layer = aasist.StackedAttention(6, 5, 0.2).eval()
    one, other, stack = torch.randn(2, 4, 6), torch.randn(2, 3, 6), torch.randn(2, 1, 6)
    first, second = torch.randperm(4), torch.randperm(3)
    with torch.inference_mode():
        plain = layer(one, other, stack)
        turned = layer(one[:, first], other[:, second], stack)
        torch.testing.assert_close(turned[0], plain[0][:, first])
        torch.testing.assert_close(turned[1], plain[1][:, second])
        torch.testing.assert_close(turned[2], plain[2])
        changed = layer(one, torch.cat([other[:, :2], 1 + other[:, 2:]], 1), stack)
    assert not torch.allclose(changed[2], plain[2])


def test_pairs_are_weighed_by_their_kinds() -> None:
    """The same nodes weigh otherwise where they are of another kind."""
    torch.manual_seed(0)
    layer = aasist.StackedAttention(6, 5, 0.0).eval()
    with torch.no_grad():
        for number, weight in enumerate(layer.weights):
            weight.mul_(200 * (number == 2))  # pairs of both kinds alone are moved
        nodes = torch.randn(1, 6, 6)
        shares = layer.shares(nodes, 3)[0]
    torch.testing.assert_close(shares.sum(1), torch.ones(6))
    for rows in (slice(3), slice(3, 6)):
        same = shares[rows, rows]
        torch.testing.assert_close(same, same[:, :1].expand(3, 3))  # nothing tells them apart
    assert float(shares[:3, 3:].std()) > 0.01


def test_the_best_nodes_are_kept() -> None:
    torch.manual_seed(0)
    pool = aasist.Pool(6, 0.5, 0.0).eval()
    nodes = torch.randn(1, 9, 6)
    with torch.inference_mode():
        scores = pool.score(nodes).sigmoid()[0, :, 0]
        found = pool(nodes)[0]
    best = scores.argsort(descending=True)[:4]
    torch.testing.assert_close(found, nodes[0, best] * scores[best, None])


def test_moments_have_no_order_bands_do() -> None:
    torch.manual_seed(0)
    network = method().network().eval()
    with torch.inference_mode():
        moments, bands = network.nodes(sound_toys.stretches(2, 0, 6400).pixels)
        assert moments.shape[1] == (6400 - 64) // 3**5 and bands.shape[1] == 8
        order = torch.randperm(moments.shape[1])
        plain = network.read(moments, bands)
        torch.testing.assert_close(network.read(moments[:, order], bands), plain)


def test_an_echo_is_learned() -> None:
    assert sound_toys.share_right(method(learning_rate=3e-3), 80, 6400) > 0.9


def test_onnx_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = method()
    crops = sound_toys.stretches(3, 5, 6400).pixels.numpy()
    done = export.export(recipe, recipe.network(), tmp_path / "aasist.onnx", crops=crops)
    assert done.difference < 1e-3


def test_stretches_that_are_too_short_are_refused() -> None:
    with pytest.raises(InvalidInput, match="too few"):
        method(samples=400).network()
