"""AMEL: experts that learn from their own source, and a mixture for one that is new."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import toys

from bonafide.errors import InvalidInput
from bonafide.train import amel
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
CASTS = torch.tensor([[1.0, 0.3, 0.3], [0.3, 1.0, 0.3], [0.3, 0.3, 1.0]])


def method(**changes: object) -> amel.Method:
    given = {"width": 8, "crop": 24, "batch": 12, "sources": 3}
    return amel.Method(amel.Settings(**{**given, **changes}))


def batch(casts: torch.Tensor = CASTS, count: int = 12, seed: int = 0) -> Batch:
    """Sources with a colour cast each; attacks have a grain."""
    torch.manual_seed(seed)
    source = torch.arange(count) % len(casts)
    label = (torch.arange(count) // len(casts)) % 2.0
    base = 0.4 + 0.2 * torch.rand(count, 1, 1, 1).expand(count, 3, 24, 24)
    grain = 0.4 * (torch.rand(count, 3, 24, 24) - 0.5) * label.view(-1, 1, 1, 1)
    pixels = (base + grain).clamp(0, 1) * casts[source].view(-1, 3, 1, 1)
    return Batch(pixels, label, torch.full((count,), -1), None, {"source": source})


def test_full_size_has_an_expert_for_each_source() -> None:
    with torch.device("meta"):
        network = amel.Network(128, 3)
    sizes = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    assert sizes["experts"] == 3 * (2 * 384 * 128 * 9 + 128 + 384)
    assert sizes["relevance"] == 3 * 385
    assert sum(sizes.values()) == 4_902_109


def test_an_expert_learns_from_its_own_source_alone() -> None:
    recipe = method()
    network = recipe.network().train()
    given = batch()
    given.extra["source"][:] = 1  # one source: nothing is played as new
    recipe.loss(network, given)[0].backward()
    moved = [sum(float(w.grad.abs().sum()) for w in expert.parameters() if w.grad is not None)
             for expert in network.experts]  # fmt: skip
    assert moved[1] > 0 and moved[0] == moved[2] == 0


def test_a_new_source_does_without_its_expert() -> None:
    torch.manual_seed(0)
    experts = torch.rand(4, 3, 2, 5, 5)
    relevance = amel.without(torch.tensor([[0.0, 9.0, 1.0]] * 4), 1)
    weights = relevance.softmax(1)
    assert float(weights[:, 1].max()) == 0
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    changed = experts.clone()
    changed[:, 1] += 5
    assert torch.equal(amel.mixture(experts, relevance), amel.mixture(changed, relevance))


def test_experts_of_sources_that_never_came_do_not_count() -> None:
    recipe = method(sources=4)
    network = recipe.network().train()
    recipe.loss(network, batch())
    network.eval().requires_grad_(False)
    assert network.seen.tolist() == [True, True, True, False]
    weights = network.taken(batch().pixels).relevance.softmax(1)
    assert float(weights[:, 3].max()) == 0


def test_weights_are_moved_down_the_loss_and_gradients_come_back() -> None:
    recipe = method(inner=1e-2)
    network, given = recipe.network().eval(), batch()
    seen, known = amel._Taken(network), torch.ones(12, dtype=torch.bool)
    plain = sum(recipe.by_own(network, seen(given.pixels), given, known).values())
    moved = recipe.moved(seen, plain)
    there = torch.func.functional_call(seen, moved, (given.pixels,))
    after = sum(recipe.by_own(network, there, given, known).values())
    assert float(after.detach()) < float(plain.detach())
    after.backward()
    assert network.trunk.first[0].weight.grad is not None


def test_a_new_source_is_given_to_the_expert_that_it_resembles() -> None:
    recipe = method(learning_rate=5e-3, naming=1.0)
    network, given = recipe.network().train(), batch()
    optimiser, seen = recipe.optimiser(network), []
    for _ in range(20):
        torch.manual_seed(len(seen))
        loss, parts = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts["consistency"])
    # Casts between two known ones and much nearer to the first of them.
    near = 0.8 * CASTS + 0.2 * CASTS.roll(1, 0)
    network.train()
    with torch.no_grad():
        weights = network.taken(batch(near, seed=5).pixels).relevance.softmax(1)
    mean = torch.stack([weights[row::3].mean(0) for row in range(3)])
    assert mean.argmax(1).tolist() == [0, 1, 2]


def test_the_mixture_becomes_what_the_own_expert_gives() -> None:
    ends = []
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        recipe = method(learning_rate=5e-3, consistency=weight)
        network, given = recipe.network().train(), batch()
        optimiser = recipe.optimiser(network)
        for step in range(10):
            torch.manual_seed(step)
            loss, _ = recipe.loss(network, given)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        taken = network.taken(given.pixels)
        mixed = [
            amel.mixture(taken.experts, amel.without(taken.relevance, new)) for new in range(3)
        ]
        apart = [float((mixed[new] - taken.experts[:, new])[new::3].square().mean().detach())
                 for new in range(3)]  # fmt: skip
        ends.append(sum(apart))
    assert ends[1] < 0.5 * ends[0]


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InvalidInput, match="sources=2"):
        method(sources=1).network()
    with pytest.raises(InvalidInput, match="sources=3"):
        recipe = method(sources=2)
        recipe.loss(recipe.network(), batch())


def test_learns_grain(tmp_path: Path) -> None:
    recipe = method(sources=4, steps=25, learning_rate=5e-3, validate_every=25)
    fitted = fit(recipe, toys.grain(tmp_path, 40), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
