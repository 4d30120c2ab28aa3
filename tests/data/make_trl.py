"""Writes trl.json beside it: what TRL makes of preference pairs and of sequences to pack.

    pip install trl==1.16.0
    python make_trl.py
"""

import json
import pathlib
import random

import trl
from datasets import Dataset
from trl import extract_prompt, pack_dataset, unpair_preference_dataset

random.seed(7)


def dialogue(*texts):
    return [{"role": "user" if at % 2 == 0 else "assistant", "content": text} for at, text in enumerate(texts)]


texts = [
    ("The sky is blue.", "The sky is green."),
    ("one two three", "one two threat"),
    ("same start, then", "same start, then more"),
    ("café au lait", "cafè au lait"),
    ("a\n\nb c", "a\n\nb d"),
    ("x y", "z y"),
]
chats = [
    (dialogue("q", "good"), dialogue("q", "bad")),
    (dialogue("q", "a", "r", "good"), dialogue("q", "a", "r", "bad")),
    (dialogue("q", "a", "r", "good"), dialogue("q", "b", "s", "bad")),
    (dialogue("q", "a", "r", "good"), dialogue("q", "a")),
    ([{"role": "system", "content": "be kind"}, *dialogue("q", "good")], [{"role": "system", "content": "be kind"}, *dialogue("q", "bad")]),
    (dialogue("q", "good"), dialogue("p", "bad")),
]
pairs = [{"chosen": chosen, "rejected": rejected} for chosen, rejected in texts + chats]
rows = [{"prompt": f"p{n}", "chosen": f"c{n} é", "rejected": f"r{n}"} for n in range(5)]
ids = [[1000 * n + at for at in range(random.choice([1, 2, 3, 5, 8, 13, 21, 30]))] for n in range(60)]
cases = {}
for room in [4, 8, 16, 31]:
    for strategy in ["bfd", "bfd_split", "wrapped"]:
        packed = pack_dataset(Dataset.from_dict({"input_ids": ids}), seq_length=room, strategy=strategy)
        cases[f"{strategy}_{room}"] = {name: packed[name][:] for name in packed.column_names}

told = {
    "versions": {"trl": trl.__version__},
    "what": "trl.extract_prompt, unpair_preference_dataset, pack_dataset on given rows",
    "input_ids": ids,
    "cases": cases,
    "extract_prompt": [{"in": pair, "out": extract_prompt(pair)} for pair in pairs],
    "unpair_preference_dataset": list(unpair_preference_dataset(Dataset.from_list(rows))),
}
(pathlib.Path(__file__).parent / "trl.json").write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
