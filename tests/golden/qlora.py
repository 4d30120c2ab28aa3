"""Makes qlora.json and its models: adapters beside weights that bitsandbytes (nf4) and gguf (int8) have rounded.

    pip install torch transformers peft bitsandbytes gguf
    python tests/golden/qlora.py
"""

import json
import os
import shutil

import bitsandbytes
import gguf
import numpy
import peft
import torch
import transformers
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from gguf.quants import dequantize, quantize

HERE = os.path.dirname(os.path.abspath(__file__))
BASE = "models/qlora-base"
IDS = [[1, 20, 39, 36, 60, 40, 32, 11, 14, 36, 9, 51], [1, 35, 15, 58, 44, 12, 61, 21, 0, 0, 0, 0]]
MASK = [[1] * 12, [1] * 8 + [0] * 4]
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def nf4(weight):
    """As `Linear4bit` holds it: blocks of 64 along the flattened weight, whose rows are multiples of 64."""
    codes, state = quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=False)
    return dequantize_4bit(codes, state)


def int8(weight):
    """As llama.cpp's Q8_0: blocks of 32 along a row."""
    kind = gguf.GGMLQuantizationType.Q8_0
    return torch.from_numpy(numpy.array(dequantize(quantize(weight.numpy(), kind), kind))).reshape(weight.shape)


def rounded(base, how):
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            if any(f".{projection}." in name for projection in PROJECTIONS):
                parameter.copy_(how(parameter.detach().clone()))
    return base


def main():
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=128, hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(12)  # a spread that makes log-probs differ
    base = os.path.join(HERE, BASE)
    shutil.rmtree(base, ignore_errors=True)
    model.save_pretrained(base)
    os.remove(os.path.join(base, "generation_config.json"))

    torch.manual_seed(8)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=PROJECTIONS, lora_dropout=0.0)
    adapted = peft.get_peft_model(transformers.LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), lora)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    folder = os.path.join(HERE, "models/qlora-all-r4")
    shutil.rmtree(folder, ignore_errors=True)
    adapted.peft_config["default"].base_model_name_or_path = os.path.basename(BASE)
    adapted.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))

    cases = {}
    for word, how in [("nf4", nf4), ("int8", int8)]:
        base_model = rounded(transformers.LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), how)
        network = peft.PeftModel.from_pretrained(base_model, folder, is_trainable=True)
        ids, mask = torch.tensor(IDS), torch.tensor(MASK)
        out = network(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100))
        out.loss.backward()
        grads = {
            name: {
                "norm": p.grad.norm().item(), "sum": p.grad.sum().item(), "first4": p.grad.flatten()[:4].tolist(),
            }
            for name, p in network.named_parameters() if p.grad is not None
        }
        total = torch.sqrt(sum((p.grad.double() ** 2).sum() for p in network.parameters() if p.grad is not None))
        cases[f"qlora-{word}"] = {
            "base": BASE, "blocks": word, "adapter": "models/qlora-all-r4", "merged": f"models/qlora-{word}-merged", "scaling": 2.0,
            "input_ids": IDS, "attention_mask": MASK, "logits": out.logits.detach().tolist(),
            "sft_loss_all_tokens": out.loss.item(), "total_grad_norm": total.item(), "grads": grads,
        }
    versions = {m.__name__: m.__version__ for m in (torch, transformers, peft, bitsandbytes)}
    versions["gguf"] = __import__("importlib.metadata").metadata.version("gguf")
    what = "PEFT LoRA beside a base whose projections are rounded to nf4 (bitsandbytes, blocks of 64) or int8 (gguf, Q8_0)."
    with open(os.path.join(HERE, "qlora.json"), "w") as file:
        json.dump({"file": "qlora.json", "versions": versions, "what": what, "cases": cases}, file, separators=(",", ":"))


main()
