"""Trains an explainer on records that bonafide wrote: first to imitate, then to prefer.

    bonafide bench explain reports.jsonl --records records.jsonl
    bonafide train explainer --data records.jsonl --out sft --set model=FOLDER
    bonafide train explainer --data records.jsonl --out dpo --set model=FOLDER \\
        --set adapter=sft/adapter --set loss=dpo

The model is a folder as transformers' `save_pretrained` writes it, with its processor: any model
for images and text, such as LLaVA, SmolVLM or Qwen-VL. Adapters of low rank are trained on its
language part, and the picture goes along where the record names one that is there. What the result
says is checked like what any other model says.

SFT is cross entropy on the completion alone. DPO compares a statement that passes the check with
one that does not; the reference is the model without its adapters.

References: Hu et al., "LoRA", ICLR 2022; Rafailov et al., "Direct Preference Optimization", NeurIPS
2023, equation 7; rates and ranks as in Zhou et al., "AIGI-Holmes", ICCV 2025 (SFT 5e-5), and Wu et
al., "Antidote", CVPR 2025 (rank 64, alpha 128, beta 0.1).
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write

IGNORED = -100  # label of tokens that are not learnt
LONGEST_LINE = 1_000_000  # characters of a record


@dataclass(frozen=True)
class Settings:
    """How an explainer is trained.

    Attributes:
        model: folder of the model and its processor.
        adapter: folder of adapters that are merged into it first; "" for none.
        loss: "sft" or "dpo".
        steps: optimiser steps.
        batch: records per step.
        learning_rate: of AdamW, falling linearly to zero.
        rank, alpha: of the adapters.
        beta: of DPO.
        imitation: weight of SFT beside DPO; raise it where the chosen become less likely too.
        pictures: whether pictures are shown.
        longest: tokens of a record; longer ones are left out.
        side: pixels to which the longer side of a picture is reduced.
        seed: of the order and the adapters.
    """

    model: str = ""
    adapter: str = ""
    loss: str = "sft"
    steps: int = 200
    batch: int = 4
    learning_rate: float = 5e-5
    rank: int = 64
    alpha: int = 128
    beta: float = 0.1
    imitation: float = 0.0
    pictures: bool = True
    longest: int = 4096
    side: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in ("sft", "dpo"):
            raise InvalidInput(f"loss is sft or dpo, not {self.loss!r}")
        if not self.model:
            raise InvalidInput("say which model is trained: --set model=FOLDER")


@dataclass(frozen=True)
class Example:
    """A record, encoded for a model.

    Attributes:
        chosen, rejected: inputs of the model, with `labels`; no rejected one for SFT.
    """

    chosen: Mapping[str, Tensor]
    rejected: Mapping[str, Tensor] | None


@dataclass(frozen=True)
class Fitted:
    """What became of a training: losses by step, the folder of the adapters, records left out."""

    losses: tuple[float, ...]
    adapter: Path
    left_out: int


def completion_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over completion tokens.

    Args:
        logits: float b×t×v.
        labels: int b×t; `IGNORED` where nothing is learnt. The token at t is predicted at t − 1.
    """
    return functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED
    )


def log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the log-probabilities of the completion tokens, float b; see `completion_loss`."""
    known = labels[:, 1:] != IGNORED
    target = labels[:, 1:].masked_fill(~known, 0)
    each = logits[:, :-1].float().log_softmax(-1).gather(-1, target[..., None])[..., 0]
    return (each * known).sum(-1)


def preference_loss(
    chosen: Tensor, rejected: Tensor, chosen_before: Tensor, rejected_before: Tensor, beta: float
) -> Tensor:
    """DPO: −log σ(β[(log π⁺ − log π⁺ref) − (log π⁻ − log π⁻ref)]), its mean.

    Args:
        chosen, rejected: log-probabilities under the model, float b.
        chosen_before, rejected_before: the same under the reference.
        beta: how closely the reference is kept.
    """
    margin = (chosen - chosen_before) - (rejected - rejected_before)
    return -functional.logsigmoid(beta * margin).mean()


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file.

    Raises:
        InvalidInput: it cannot be read, or a line is no record.
    """
    found = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                one = json.loads(line[:LONGEST_LINE])
                good = isinstance(one, dict) and isinstance(one.get("chosen"), str)
                if not good or not isinstance(one.get("messages"), list):
                    raise InvalidInput(f"{path}, line {number}: this is no record")
                found.append(one)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(f"{path}: {error}") from None
    if not found:
        raise InvalidInput(f"{path} holds no record")
    return found


class Encoder:
    """Turns records into inputs of a model.

    Args:
        processor: of the model, with a chat template.
        settings: of the training.
    """

    def __init__(self, processor: Any, settings: Settings) -> None:
        self.processor, self.settings = processor, settings

    def example(self, record: Mapping[str, Any]) -> Example | None:
        """A record as inputs; None if it is too long, or DPO has nothing to compare."""
        chosen = self.inputs(record, record["chosen"])
        rejected = None
        if self.settings.loss == "dpo":
            bad = [one["text"] for one in record.get("rejected", []) if one.get("text")]
            rejected = self.inputs(record, bad[0]) if bad else None
            if rejected is None:
                return None
        return None if chosen is None else Example(chosen, rejected)

    def prompt(self, record: Mapping[str, Any]) -> tuple[str, list[Pillow.Image]]:
        """The text before the completion, and the pictures in it."""
        picture = self._picture(record)
        messages = []
        for message in record["messages"]:
            parts: list[dict[str, Any]] = [{"type": "text", "text": str(message["content"])}]
            if picture is not None and message["role"] == "user":
                parts.insert(0, {"type": "image"})
            messages.append({"role": message["role"], "content": parts})
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True)
        return str(text), [] if picture is None else [picture]

    def inputs(self, record: Mapping[str, Any], completion: str) -> dict[str, Tensor] | None:
        """Inputs with labels on the completion; None if they are too long.

        Raises:
            InvalidInput: the tokens of the prompt change when a completion follows.
        """
        before, pictures = self.prompt(record)
        end = self.processor.tokenizer.eos_token or ""
        prompt = self._encoded(before, pictures)["input_ids"]
        whole = self._encoded(f"{before}{completion}{end}", pictures)
        ids = whole["input_ids"]
        if ids.shape[1] > self.settings.longest:
            return None
        start = prompt.shape[1]
        if not torch.equal(ids[:, :start], prompt):
            # A token may span prompt and completion: it is not learnt.
            start = int((ids[:, :start] == prompt).long().cumprod(1).sum())
            if start < prompt.shape[1] - 4:
                raise InvalidInput("the processor encodes a prompt otherwise when text follows")
            start = prompt.shape[1]
        labels = ids.clone()
        labels[:, :start] = IGNORED
        return {**whole, "labels": labels}

    def _encoded(self, text: str, pictures: list[Pillow.Image]) -> dict[str, Tensor]:
        given = {"images": pictures} if pictures else {}
        return dict(self.processor(text=[text], return_tensors="pt", **given))

    def _picture(self, record: Mapping[str, Any]) -> Pillow.Image | None:
        path = record.get("path")
        if not self.settings.pictures or not path or not Path(path).is_file():
            return None
        try:
            with Pillow.open(path) as opened:
                picture = opened.convert("RGB")
        except (OSError, ValueError, Pillow.DecompressionBombError):
            return None
        picture.thumbnail((self.settings.side, self.settings.side))
        return picture


def load(settings: Settings) -> tuple[Any, Any]:
    """(model with earlier adapters merged into it, processor), from local folders alone.

    Raises:
        InvalidInput: there is no such model.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(settings.model, local_files_only=True)
        model = AutoModelForImageTextToText.from_pretrained(settings.model, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"{settings.model} holds no model: {str(error)[:200]}") from None
    if settings.adapter:
        from peft import PeftModel

        if not (Path(settings.adapter) / "adapter_config.json").is_file():
            raise InvalidInput(f"{settings.adapter} holds no adapters")
        model = PeftModel.from_pretrained(model, settings.adapter).merge_and_unload()
    return model, processor


def fit(
    settings: Settings,
    records: Sequence[Mapping[str, Any]],
    out: Path,
    tick: Callable[[int, int, str], None] = lambda done, total, remark: None,
) -> Fitted:
    """Train adapters and write them to `out/adapter`, with `log.csv` and `settings.json` beside.

    Args:
        settings: of the training.
        records: from `read`.
        out: a folder, made if it is missing.
        tick: called with (step, steps, remark).

    Raises:
        InvalidInput: there is no such model, or no record can be used.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(settings.seed)
    base, processor = load(settings)
    names = _language_layers(base)
    model = get_peft_model(
        base, LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=names)
    )
    encoder = Encoder(processor, settings)
    examples = [encoder.example(record) for record in records]
    usable = [one for one in examples if one is not None]
    if not usable:
        raise InvalidInput("no record can be used: all are too long, or have nothing rejected")
    trained = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: max(0.0, 1 - step / settings.steps)
    )
    model.train()
    losses = []
    order = _order(len(usable), settings)
    for step in range(settings.steps):
        optimiser.zero_grad()
        total = 0.0
        for _ in range(settings.batch):
            loss = step_loss(model, usable[next(order)], settings) / settings.batch
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(total)
        tick(step + 1, settings.steps, f"loss {total:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(out / "adapter"))
    with atomic_write(out / "log.csv") as draft, draft.open("w", newline="") as lines:
        csv.writer(lines).writerows([("step", "loss"), *enumerate(losses, 1)])
    with atomic_write(out / "settings.json") as draft:
        draft.write_text(json.dumps(asdict(settings), indent=2) + "\n", "utf-8")
    return Fitted(tuple(losses), out / "adapter", len(examples) - len(usable))


def step_loss(model: Any, example: Example, settings: Settings) -> Tensor:
    """The loss of one example; the reference of DPO is the model without adapters."""
    good = _inputs(example.chosen)
    logits = model(**good).logits
    imitated = completion_loss(logits, example.chosen["labels"])
    if example.rejected is None:
        return imitated
    bad = _inputs(example.rejected)
    chosen = log_probability(logits, example.chosen["labels"])
    rejected = log_probability(model(**bad).logits, example.rejected["labels"])
    with torch.no_grad(), model.disable_adapter():
        before = log_probability(model(**good).logits, example.chosen["labels"])
        worse = log_probability(model(**bad).logits, example.rejected["labels"])
    loss = preference_loss(chosen, rejected, before, worse, settings.beta)
    return loss + settings.imitation * imitated


def say(settings: Settings, record: Mapping[str, Any], most: int = 120) -> str:
    """What a trained model writes about a record, without sampling.

    Args:
        settings: with the model and its `adapter`.
        record: whose messages are sent.
        most: tokens.
    """
    model, processor = load(settings)
    encoder = Encoder(processor, settings)
    text, pictures = encoder.prompt(record)
    inputs = encoder._encoded(text, pictures)
    model.eval()
    with torch.no_grad():
        made = model.generate(**inputs, max_new_tokens=most, do_sample=False)
    told = made[0, inputs["input_ids"].shape[1] :]
    return str(processor.tokenizer.decode(told, skip_special_tokens=True))


def _inputs(example: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in example.items() if name != "labels"}


def _order(count: int, settings: Settings) -> Iterator[int]:
    rng = random.Random(settings.seed)
    while True:
        places = [*range(count)]
        rng.shuffle(places)
        yield from places


def _language_layers(model: Any) -> list[str]:
    """Names of the linear layers of the language part; the part that sees stays as it is.

    Raises:
        InvalidInput: there is none.
    """
    seeing = ("vision", "visual", "image", "projector", "connector", "lm_head")
    found = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not any(part in name for part in seeing)
    ]
    if not found:
        raise InvalidInput("the model has no layers of language that adapters fit")
    return found
