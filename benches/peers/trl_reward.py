#!/usr/bin/env python3
"""Trains a reward model with TRL on rows that `align` exported, to set beside `reward_model` of the same rows.

    trl_reward.py --model DIR --train train.jsonl --test test.jsonl
                  [--lr 3e-5] [--batch 16] [--accumulate 4] [--max-length 384] [--centre 0.01]

`--model` is a folder that `export base to "…"` wrote; the rows have `prompt`, `chosen`, `rejected`. One epoch, as
`align` trains by default. Prints one `RESULT {json}` line: accuracy on the held-out rows, seconds of training (loading
and evaluation apart), the most memory the process held. Needs `torch`, `transformers`, `datasets` and `trl`.
"""

import argparse
import json
import os
import resource
import tempfile
import time

import torch
import transformers
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["model", "train", "test"]:
        parser.add_argument("--" + name, required=True)
    for name, default in [("lr", 3e-5), ("centre", 0.01)]:
        parser.add_argument("--" + name, type=float, default=default)
    for name, default in [("batch", 16), ("accumulate", 4), ("max-length", 384), ("threads", 2), ("steps", -1)]:
        parser.add_argument("--" + name, type=int, default=default)
    return parser.parse_args()


def turns(prompt):
    """A prompt as `align` exports it: a text is one user turn."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def rows(path):
    said = lambda text: [{"role": "assistant", "content": text}]
    with open(path, encoding="utf-8") as file:
        read = [json.loads(line) for line in file]
    return Dataset.from_list([{"prompt": turns(r["prompt"]), "chosen": said(r["chosen"]), "rejected": said(r["rejected"])} for r in read])


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=1, dtype=torch.float32)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    config = RewardConfig(
        output_dir=os.path.join(tempfile.gettempdir(), "trl-reward"), report_to="none", save_strategy="no", use_cpu=True, seed=0,
        num_train_epochs=1, max_steps=args.steps, learning_rate=args.lr, max_length=args.max_length,
        center_rewards_coefficient=args.centre, per_device_train_batch_size=args.batch // args.accumulate,
        per_device_eval_batch_size=args.batch // args.accumulate, gradient_accumulation_steps=args.accumulate, bf16=False,
        gradient_checkpointing=False, logging_steps=5,
    )
    test = rows(args.test)
    trainer = RewardTrainer(model=model, args=config, train_dataset=rows(args.train), eval_dataset=test, processing_class=tokenizer)
    begun = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - begun
    # the most that training held, before evaluation
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    accuracy = trainer.evaluate()["eval_accuracy"]
    print("RESULT " + json.dumps({
        "kind": "trl", "method": "reward", "rows": len(test), "accuracy": round(accuracy, 4), "seconds": round(seconds, 1),
        "steps": trainer.state.global_step, "s_step": round(seconds / trainer.state.global_step, 2), "rss_mb": round(memory),
        "torch": torch.__version__, "transformers": transformers.__version__,
    }))


if __name__ == "__main__":
    main()
