"""Checks that transformers loads what align exports: same tensors, same logits, same tokens.

    ALIGN_EXCHANGE=/tmp/exchange cargo test --test networks export_for_exchange -- --ignored
    python tests/exchange.py /tmp/exchange

Needs torch and transformers. The folder holds pairs `<name>.original` and `<name>.exported`.
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
