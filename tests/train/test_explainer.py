"""SFT and DPO of an explainer, end to end on a tiny model with random weights; losses by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image as Pillow
from tests.explain.conftest import report as report

from bonafide.bench.explain_records import of
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.explain import replies
from bonafide.explain.check import check
from bonafide.train import explainer
from bonafide.train.explainer import IGNORED, Settings
from bonafide.types import Report

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}:{% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def tiny(folder: Path, texts: list[str]) -> None:
    """Write a LLaVA of random weights, with a tokenizer made from some texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    special = ["<pad>", "<s>", "</s>", "<image>"]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    )
    LlavaProcessor(
        image_processor=pictures, tokenizer=tokens, patch_size=14, chat_template=TEMPLATE,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    seeing = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        image_size=28, patch_size=14, projection_dim=16,
    )  # fmt: skip
    speaking = LlamaConfig(
        vocab_size=made.get_vocab_size(), hidden_size=64, intermediate_size=128,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=2048, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.3,  # adapters cannot make the scores of frozen small weights large
    )  # fmt: skip
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=seeing, text_config=speaking, image_token_id=3, vision_feature_layer=-2
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)


@pytest.fixture
def records(report: Report, tmp_path: Path) -> list[dict[str, Any]]:
    """What bonafide writes about a report, with its picture."""
    picture = tmp_path / "picture.png"
    Pillow.fromarray(skimage.data.coffee()[:64, :64]).save(picture)
    found = [one | {"path": str(picture)} for one in of(report) if one["rejected"]]
    assert len(found) >= 2
    return found[:2]


def test_losses_are_those_of_their_definitions() -> None:
    torch.manual_seed(1)
    logits, labels = torch.randn(2, 5, 7), torch.randint(0, 7, (2, 5))
    labels[0, :3] = labels[1, :2] = IGNORED
    sums = []
    for row in range(2):
        total = 0.0
        for place in range(1, 5):
            if labels[row, place] != IGNORED:
                spread = [math.exp(float(one)) for one in logits[row, place - 1]]
                total += math.log(spread[int(labels[row, place])] / sum(spread))
        sums.append(total)
    known = int((labels[:, 1:] != IGNORED).sum())
    found = explainer.log_probability(logits, labels)
    assert found.tolist() == pytest.approx(sums, abs=1e-4)
    assert float(explainer.completion_loss(logits, labels)) == pytest.approx(
        -sum(sums) / known, abs=1e-4
    )
    given = ([-3.0, -1.0], [-4.0, -0.5], [-3.5, -1.0], [-3.0, -1.0])
    chosen, rejected, before, worse = (torch.tensor(one) for one in given)
    slow = 0.0
    for row in range(2):
        ratio = math.exp(chosen[row] - before[row]) / math.exp(rejected[row] - worse[row])
        slow -= math.log(1 / (1 + math.exp(-0.3 * math.log(ratio)))) / 2
    assert float(explainer.preference_loss(chosen, rejected, before, worse, 0.3)) == pytest.approx(
        slow, abs=1e-5
    )


def test_imitation_then_preference_on_records_of_bonafide(
    report: Report, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    model, data = tmp_path / "model", tmp_path / "records.jsonl"
    texts = [m["content"] for one in records for m in one["messages"]]
    tiny(model, [*texts, *(one["chosen"] for one in records)])
    data.write_text("".join(json.dumps(one) + "\n" for one in records))

    def train(out: str, *settings: str) -> list[float]:
        arguments = ["train", "explainer", "--data", str(data), "--out", str(tmp_path / out),
                     "--set", f"model={model}", "--quiet"]  # fmt: skip
        for one in settings:
            arguments += ["--set", one]
        done = CliRunner().invoke(bonafide, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        lines = (tmp_path / out / "log.csv").read_text().splitlines()[1:]
        return [float(line.split(",")[1]) for line in lines]

    losses = train("sft", "steps=40", "batch=2", "learning_rate=0.01", "rank=16", "alpha=32")
    assert losses[-1] < 0.8 * losses[0]
    settings = Settings(model=str(model), adapter=str(tmp_path / "sft" / "adapter"))
    told = explainer.say(settings, records[0], most=60)
    shown = check(report, replies.statements(told, "tiny"))
    assert check(report, shown.kept).kept == shown.kept  # what is shown holds, whatever is made
    preferred = train(
        "dpo", f"adapter={tmp_path / 'sft' / 'adapter'}", "loss=dpo", "steps=8", "batch=2",
        "learning_rate=0.005", "rank=8", "alpha=16",
    )  # fmt: skip
    assert preferred[0] == pytest.approx(math.log(2), abs=1e-3)  # the reference is where it starts
    assert preferred[-1] < 0.9 * preferred[0]
    assert (tmp_path / "dpo" / "adapter" / "adapter_model.safetensors").is_file()


def test_labels_begin_where_the_completion_does(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    tiny(tmp_path / "model", [records[0]["chosen"]])
    settings = Settings(model=str(tmp_path / "model"))
    model, processor = explainer.load(settings)
    encoder = explainer.Encoder(processor, settings)
    inputs = encoder.inputs(records[0], records[0]["chosen"])
    assert inputs is not None
    learnt = inputs["input_ids"][inputs["labels"] != IGNORED]
    assert processor.tokenizer.decode(learnt) == records[0]["chosen"] + "</s>"
    assert int((inputs["input_ids"] == 3).sum()) == 4 and "pixel_values" in inputs
    adapted = explainer._language_layers(model)
    assert adapted and not any("vision" in name for name in adapted)
    short = explainer.Encoder(processor, Settings(model=str(tmp_path / "model"), longest=10))
    assert short.inputs(records[0], "x") is None


def test_wrong_settings_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="sft or dpo"):
        Settings(model="x", loss="grpo")
    with pytest.raises(InvalidInput, match="holds no model"):
        explainer.load(Settings(model=str(tmp_path)))
    (tmp_path / "bad.jsonl").write_text('{"chosen": 3}\n')
    with pytest.raises(InvalidInput, match="line 1"):
        explainer.read(tmp_path / "bad.jsonl")
    done = CliRunner().invoke(bonafide, ["train", "explainer", "--settings"])
    assert done.exit_code == 0 and "learning_rate" in done.output
    assert CliRunner().invoke(bonafide, ["train", "explainer"]).exit_code == 2
