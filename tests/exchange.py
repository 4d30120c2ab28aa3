"""Checks that transformers loads what align exports: same tensors, same logits, same tokens.

    ALIGN_EXCHANGE=/tmp/exchange cargo test --test networks for_exchange -- --ignored
    python tests/exchange.py /tmp/exchange

Needs torch, transformers and peft. The folder holds pairs `<name>.original` and `<name>.exported`, and of adapters
`<name>.base`, `<name>.adapter` and `<name>.merged`: PEFT must load the adapter and compute what the merged weights do.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast


def load(folder: Path):
    kind = AutoModelForSequenceClassification if "score" in folder.name else AutoModelForCausalLM
    model, report = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    return model.eval()


def adapters(place: Path) -> None:
    from peft import PeftModel

    folders = sorted(place.glob("*.adapter"))
    assert folders, f"no adapter in {place}"
    for adapter in folders:
        ids = torch.tensor([[1, 5, 6, 7, 8, 9, 10, 11]])
        base = load(adapter.with_suffix(".base"))
        with torch.no_grad():
            plain, merged = base(ids).logits, load(adapter.with_suffix(".merged"))(ids).logits
            adapted = PeftModel.from_pretrained(base, adapter).eval()
            beside = adapted(ids).logits
            theirs = adapted.merge_and_unload()(ids).logits
        gap = max((beside - merged).abs().max().item(), (theirs - merged).abs().max().item())
        assert gap < 1e-4, f"{adapter.name}: PEFT and the merged weights differ by {gap}"
        assert (beside - plain).abs().max() > 1e-2, f"{adapter.name}: the adapter does nothing"
        print(f"{adapter.stem}: PEFT agrees with the merged weights within {gap:.1e}")


def main(place: Path) -> None:
    pairs = sorted(place.glob("*.original"))
    assert pairs, f"nothing in {place}"
    for original in pairs:
        exported = original.with_suffix(".exported")
        ids = torch.tensor([[1, 5, 6, 7, 8, 9, 10, 11]])
        with torch.no_grad():
            before, after = load(original)(ids).logits, load(exported)(ids).logits
        assert torch.equal(before, after), f"{original.name}: logits differ by {(before - after).abs().max()}"
        # Golden networks have a tokenizer of words, and `AutoTokenizer` knows better for some families.
        kind = PreTrainedTokenizerFast if original.name.startswith("tiny-") else AutoTokenizer
        tokenizer = kind.from_pretrained(exported)
        assert tokenizer.eos_token_id == 2, tokenizer
        starts = json.loads((exported / "tokenizer_config.json").read_text())["add_bos_token"]
        assert (tokenizer("w5 w6")["input_ids"][0] == 1) == starts, "the start token is missing, or not wanted"
        print(f"{original.stem}: {tuple(after.shape)} equal, tokenizer {type(tokenizer).__name__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    adapters(Path(sys.argv[1]))
