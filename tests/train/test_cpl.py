"""CPL: voting, soft labels, and new forgers that become clusters of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys

from bonafide.bench.attribution import Attribution, attribution
from bonafide.errors import InvalidInput
from bonafide.train import cpl
from bonafide.train.backbones import Backbone
from bonafide.train.data import TrainingData
from bonafide.train.loop import fit
from bonafide.train.pictures import Picture
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
KINDS = ("genuine", "rows", "columns", "unknown checks", "unknown spots")
COLOURS = torch.tensor(
    [[0.5, 0.5, 0.5], [0.8, 0.3, 0.3], [0.3, 0.8, 0.3], [0.3, 0.3, 0.8], [0.8, 0.8, 0.2]]
)
KNOWN = {"genuine", "rows", "columns"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


def method(folder: str, **changes: object) -> cpl.Method:
    given = {"backbone": folder, "crop": 64, "batch": 20, "classes": 5}
    made = cpl.Method(cpl.Settings(**{**given, **changes}))
    made.read_data(table())
    return made


def table() -> TrainingData:
    """One picture of each kind; nothing is read."""
    pictures = [Picture(k, k != "genuine", k, k, Path(k)) for k in KINDS]
    return TrainingData(tuple(pictures), (), (), (), {}, ())


def batch(count: int, seed: int) -> Batch:
    """Patterns of five kinds in turn, in any phase, each in about a colour of its own."""
    random = torch.Generator().manual_seed(seed)
    down, across = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    pixels = torch.zeros(count, 3, 64, 64)
    for number in range(count):
        x, y = torch.randint(0, 8, (2,), generator=random)
        rows, columns = ((down + y) // 4 % 2).float(), ((across + x) // 4 % 2).float()
        pattern = (
            torch.full((64, 64), 0.5), rows, columns, (rows + columns) % 2,
            (torch.rand(64, 64, generator=random) > 0.9).float(),
        )[number % 5]  # fmt: skip
        colour = COLOURS[number % 5] + 0.1 * torch.randn(3, generator=random)
        pixels[number] = colour.view(3, 1, 1) + 0.15 * (pattern - pattern.mean())
    kind = torch.arange(count) % 5
    order = sorted(KINDS)
    source = torch.tensor([order.index(KINDS[int(one)]) for one in kind])
    return Batch(pixels, (kind > 0).float(), torch.full((count,), -1), None, {"source": source})


def test_full_size() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ResNetConfig())
        network = cpl.Network(Backbone(model), 40, 10.0)
    assert sum(w.numel() for w in network.parameters()) == 23_508_032 + 40 * 2048


def test_classes_of_a_batch(folder: str) -> None:
    assert method(folder).target(batch(5, 0)).tolist() == [0, 2, 1, -1, -1]
    with pytest.raises(InvalidInput, match="classes=3"):
        method(folder, classes=2)


def test_neighbours_count_only_where_parts_agree() -> None:
    """Rows 0 and 1 are near in all parts; 2 and 3 in the whole alone."""
    whole = torch.tensor([[1.0, 0, 0], [0.99, 0.1, 0], [0, 0, 1], [0, 0.1, 0.99]])
    apart = torch.eye(3)
    parts = torch.stack([
        torch.stack([apart[0]] * 4), torch.stack([apart[0]] * 4),
        torch.stack([apart[1]] * 4), torch.stack([apart[0], apart[2], apart[2], apart[2]]),
    ])  # fmt: skip
    parts[2, :, 0] = 0.5  # a little nearer to rows 0 and 1 than to row 3
    nearest, agreed = cpl.voted(
        torch.nn.functional.normalize(whole, dim=1), torch.nn.functional.normalize(parts, dim=2), 1
    )
    assert nearest.tolist() == [1, 0, 3, 2]
    assert agreed.tolist()[:3] == [True, True, False]


def test_partners() -> None:
    target = torch.tensor([1, 2, 1, -1, -1, 0])
    rows, others = cpl.partners(
        target, torch.tensor([1, 0, 0, 4, 3, 0]), torch.tensor([True] * 4 + [False, True])
    )
    # 1 and 5 have no other of their class, 4 was not agreed on.
    assert list(zip(rows.tolist(), others.tolist(), strict=True)) == [(0, 2), (2, 0), (3, 4)]


def test_unsure_labels_weigh_less() -> None:
    torch.manual_seed(0)
    sure = cpl.pseudo(torch.tensor([[9.0, 0, 0]]).repeat(500, 1).requires_grad_())
    logits = torch.tensor([[0.3, 0.0, 0.0]]).repeat(500, 1).requires_grad_()
    cpl.pseudo(logits).backward()
    slope = logits.grad
    assert slope is not None and float(sure.detach()) < 0.01
    full = torch.nn.functional.cross_entropy(torch.zeros(1, 3), torch.tensor([0]))
    assert float(cpl.pseudo(torch.zeros(500, 3))) == pytest.approx(float(full) / 3, rel=1e-4)


def scored(folder: str, **changes: object) -> Attribution:
    """Attribution of new pictures after a short training."""
    recipe = method(folder, learning_rate=2e-3, **changes)
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    for step in range(60):
        loss, _ = recipe.loss(network, batch(20, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    shown = batch(60, 999)
    with torch.inference_mode():
        found = network.attribute(shown.pixels).argmax(1)
    return attribution([KINDS[n % 5] for n in range(60)], found.tolist(), KNOWN)


def test_new_forgers_become_clusters(folder: str) -> None:
    open_world = scored(folder, spread=2.0)
    closed = scored(folder, voting=0.0, pseudo=0.0, spread=0.0)
    assert open_world.known > 0.8 and closed.known > 0.8
    assert open_world.novel > 0.7
    assert open_world.novel > closed.novel


def test_learns_grain(folder: str, tmp_path: Path) -> None:
    recipe = method(folder, steps=20, learning_rate=5e-3)
    fitted = fit(recipe, toys.grain(tmp_path, 72), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
