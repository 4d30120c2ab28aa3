#!/usr/bin/env python3
"""Times a training method of `align run` as the peers' programs are timed, and prints one `RESULT {json}` line.

    ours.py --method sft|reward|dpo|kto|ppo|grpo|rloo --model DIR [--align target/release/align]
            [--batch 8] [--prompt 64] [--completion 64] [--steps 14] [--warm 3] [--samples 8] [--epochs 4] [--device cpu]

It writes a recipe and made-up rows (words that are one token each, from the model's own vocabulary) into a temporary
folder, runs the recipe from nothing, and reads its events: `s_step` is the median time between the ends of steps after
`--warm` of them, so it holds everything that a user waits for; `tok_s` counts prompt and completion tokens, as the peers
do; `t_first_step` runs from the start of the process; `rss_mb` is the most memory the process ever held.
Standard library only.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time

from compare import Load

HEAD = "use std.{sft, reward_model, dpo, kto, ppo, grpo, rloo}\n\nrecipe bench {\n"
# One line per method: the columns of its rows, its stage, and sequences per row.
METHODS = {
    "sft": ("prompt: Text, completion: Completion", "sft(base, rows, batch: {batch}, steps: {steps})", 1),
    "reward": ("prompt: Text, chosen: Completion, rejected: Completion", "reward_model(base, rows, batch: {batch}, steps: {steps})", 2),
    "dpo": ("prompt: Text, chosen: Completion, rejected: Completion", "dpo(base, rows, batch: {batch}, steps: {steps})", 2),
    "kto": ("prompt: Text, completion: Completion, desirable: Bool", "kto(base, rows, batch: {batch}, steps: {steps})", 1),
    "ppo": ("prompt: Text", "ppo(base, rows, reward: length(.completion) * 1.0, reference: still, batch: {batch}, steps: {steps}, "
                            "passes: {epochs}, max_tokens: {completion})", 1),
    "grpo": ("prompt: Text", "grpo(base, rows, reward: length(.completion) * 1.0, samples: {samples}, batch: {groups}, steps: {steps}, "
                             "max_tokens: {completion})", 1),
    "rloo": ("prompt: Text", "rloo(base, rows, reward: length(.completion) * 1.0, samples: {samples}, batch: {groups}, steps: {steps}, "
                             "max_tokens: {completion})", 1),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True, choices=sorted(METHODS))
    parser.add_argument("--model", required=True, help="folder with model.safetensors and tokenizer.json")
    parser.add_argument("--align", default="target/release/align", help="the program")
    parser.add_argument("--device", default="cpu")
    for name, default in [("batch", 8), ("prompt", 64), ("completion", 64), ("steps", 14), ("warm", 3), ("samples", 8), ("epochs", 4)]:
        parser.add_argument("--" + name, type=int, default=default)
    return parser.parse_args()


def words(model):
    """Entries of the vocabulary that are a word after a blank, and so one token each."""
    with open(os.path.join(model, "tokenizer.json"), encoding="utf-8") as file:
        vocabulary = json.load(file)["model"]["vocab"]
    found = sorted(t for t in vocabulary if t[0] in "Ġ▁" and t[1:].isascii() and t[1:].isalpha() and len(t) > 3)
    return [" " + t[1:] for t in found]


def rows(args, columns):
    """As many rows as the steps read, without repetition."""
    vocabulary, chance = words(args.model), random.Random(0)
    text = lambda tokens: "".join(chance.choice(vocabulary) for _ in range(tokens))
    make = {
        "Text": lambda _: text(args.prompt),
        "Completion": lambda _: text(args.completion - 1),
        "Bool": lambda i: i % 2 == 0,
    }
    kinds = [column.split(": ") for column in columns.split(", ")]
    return [{name: make[kind](i) for name, kind in kinds} for i in range(args.batch * (args.steps + 2))]


def main():
    args = arguments()
    columns, stage, sequences = METHODS[args.method]
    align, model = os.path.abspath(args.align), os.path.abspath(args.model)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "rows.jsonl"), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows(args, columns))
        given = dict(vars(args), groups=args.batch // args.samples or 1)
        lines = [f"base = load_model({json.dumps(model)})", f'rows = load_data("rows.jsonl") as {{ {columns} }}',
                 f"made = {stage.format(**given)}".replace("reference: still, ", "")]
        with open(os.path.join(folder, "bench.align"), "w", encoding="utf-8") as file:
            file.write(HEAD + "".join(f"    {line}\n" for line in lines) + "}\n")
        load, begin, ends, memory = Load(), time.perf_counter(), [], 0
        child = subprocess.Popen([align, "run", "bench.align", "--json", "--device", args.device], cwd=folder, stdout=subprocess.PIPE, text=True)
        for line in child.stdout:
            now, event = time.perf_counter() - begin, json.loads(line)
            if event["event"] == "metrics":
                ends.append(now)
        _, status, usage = os.wait4(child.pid, 0)
        others = load.others()
    if status != 0 or len(ends) <= args.warm:
        raise SystemExit(f"the run ended with {status} after {len(ends)} steps")
    steps = [after - before for before, after in zip(ends, ends[1:])][args.warm - 1:]
    median = statistics.median(steps)
    tokens = args.batch * sequences * (args.prompt + args.completion)
    print("RESULT " + json.dumps({
        "kind": "align", "method": args.method, "model": os.path.basename(model), "batch": args.batch, "prompt": args.prompt,
        "completion": args.completion, "device": args.device, "tok_per_step": tokens, "s_step": round(median, 4),
        "s_step_min": round(min(steps), 4), "tok_s": round(tokens / median, 1), "n": len(steps), "t_first_step": round(ends[0], 2),
        "rss_mb": round(usage.ru_maxrss / 1024), "other_cores": None if others is None else round(others, 2),
    }))


if __name__ == "__main__":
    main()
