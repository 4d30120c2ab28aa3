"""Checks that other programs read the GGUF files and folders that align exports.

    python tests/exchange_gguf.py MODEL [MORE …]      # folders or .gguf files that align loads

Each model is exported by the program itself (`target/release/align`, or $ALIGN) as F32, F16, BF16 and Q8_0 and as
a folder. Checked are: `gguf` reads every file, and its own encoders make the same bytes of the same numbers;
`transformers` reads the folder, says greedily what align says, and, if the original is a folder too, has its ids and
renders its chat template alike; llama.cpp has the same ids and says greedily what align says of the same file (of BF16
and Q8_0 it rounds activations too, so its texts may part from ours; of Q8_0 early). What is not installed is left out, and said. Needs numpy, and any of: gguf; torch, transformers; llama-cpp-python, tokenizers.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ALIGN = os.environ.get("ALIGN", str(Path(__file__).parent.parent / "target/release/align"))
FORMS = ["f32", "f16", "bf16", "q8_0"]
PROMPTS = ["Once upon a time", "The capital of France is", "Lily and her mom went to the"]
TEXTS = PROMPTS + [" two  spaces ", "naïve café ☃ 日本", "1234 + 5.6", "tabs\tand\n\nlines", "it's <s> not </s> a token", "don't WE'LL"]
TOKENS = 24


def has(module: str) -> bool:
    found = importlib.util.find_spec(module)
    # the folder `gguf` beside this file would do for a package without files of its own
    return found is not None and found.origin is not None


def export(model: Path, place: Path) -> None:
    lines = ['    export base to "folder" as f32'] + [f'    export base to "{form}.gguf" as {form}' for form in FORMS]
    (place / "r.align").write_text(f'recipe r {{\n    base = load_model("{model.resolve()}")\n' + "\n".join(lines) + "\n}\n")
    subprocess.run([ALIGN, "run", "r.align", "--device", "cpu"], cwd=place, check=True, stdout=subprocess.DEVNULL)


def ours(model: Path, place: Path) -> list[str]:
    """align's greedy answers to the prompts, through the chat template where the model has one."""
    (place / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    said = place / f"said-{model.name}.jsonl"
    (place / "say.align").write_text(
        f'recipe r {{\n    base = load_model("{model.resolve()}")\n    asked = load_data("prompts.jsonl") as Prompt\n'
        f'    said = asked.with(said: base.sample(.prompt, temperature: 0, max_tokens: {TOKENS}))\n    export said to "{said.name}"\n}}\n'
    )
    subprocess.run([ALIGN, "run", "say.align", "--device", "cpu"], cwd=place, check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line)["said"] for line in said.read_text().splitlines()]


def check_bytes(place: Path) -> None:
    from gguf import GGMLQuantizationType as T
    from gguf import GGUFReader
    from gguf.quants import quantize

    plain = {t.name: t for t in GGUFReader(place / "f32.gguf").tensors}
    for form in FORMS[1:]:
        reader = GGUFReader(place / f"{form}.gguf")
        assert [t.name for t in reader.tensors] == list(plain), form
        kinds = set()
        for t in reader.tensors:
            numbers = np.asarray(plain[t.name].data, np.float32)
            kinds.add(t.tensor_type.name)
            expected = numbers if t.tensor_type == T.F32 else quantize(numbers, t.tensor_type)
            assert np.array_equal(np.ascontiguousarray(t.data).view(np.uint8), np.ascontiguousarray(expected).view(np.uint8)), (form, t.name)
        print(f"  gguf: {form}: {len(reader.tensors)} tensors ({', '.join(sorted(kinds))}), {len(reader.fields)} fields, equal bytes")


def turns(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def check_transformers(model: Path, place: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place / "folder")
    network, report = AutoModelForCausalLM.from_pretrained(place / "folder", dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    mine = ours(place / "folder", place)
    for prompt, expected in zip(PROMPTS, mine):
        chat = tokenizer.chat_template is not None
        text = tokenizer.apply_chat_template(turns(prompt), tokenize=False, add_generation_prompt=True) if chat else prompt
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=not chat).input_ids
        with torch.no_grad():
            out = network.generate(ids, max_new_tokens=TOKENS, do_sample=False)
        same(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True), expected, f"transformers, {prompt!r}")
    if model.is_dir():
        before = AutoTokenizer.from_pretrained(model)
        for text in TEXTS:
            assert before(text, add_special_tokens=False).input_ids == tokenizer(text, add_special_tokens=False).input_ids, text
        if before.chat_template:
            render = lambda t: t.apply_chat_template(turns("Hello"), tokenize=False, add_generation_prompt=True)
            assert render(before) == render(tokenizer)
    print(f"  transformers: {network.num_parameters():,} numbers, same greedy texts, template: {tokenizer.chat_template is not None}")


def same(theirs: str, mine: str, where: str) -> None:
    assert theirs.strip() == mine.strip(), f"{where}:\n  {theirs!r}\n  {mine!r}"


def check_llama_cpp(place: Path) -> None:
    from llama_cpp import Llama
    from tokenizers import Tokenizer

    library = Tokenizer.from_file(str(place / "folder" / "tokenizer.json"))
    for form in FORMS:
        llama = Llama(str(place / f"{form}.gguf"), n_ctx=512, verbose=False, n_threads=2)
        for text in TEXTS:
            theirs, expected = llama.tokenize(text.encode(), add_bos=False, special=False), library.encode(text, add_special_tokens=False).ids
            # the library makes tokens of what only looks like one
            assert "<s>" in text or theirs == expected, (form, text, theirs, expected)
        mine = ours(place / f"{form}.gguf", place)
        alike, together = 0, 0
        for prompt, expected in zip(PROMPTS, mine):
            asked = {"max_tokens": TOKENS, "temperature": 0.0, "repeat_penalty": 1.0}
            if "tokenizer.chat_template" in llama.metadata:
                said = llama.create_chat_completion(turns(prompt), **asked)["choices"][0]["message"]["content"]
            else:
                said = llama.create_completion(prompt, **asked)["choices"][0]["text"]
            if form in ("f32", "f16"):
                same(said, expected, f"llama.cpp, {form}, {prompt!r}")
            alike += len(os.path.commonprefix([said.strip(), expected.strip()]))
            together += len(expected.strip())
        least = {"f32": 1.0, "f16": 1.0, "bf16": 0.5, "q8_0": 0.1}[form]
        assert alike >= least * together, f"llama.cpp, {form}: {alike} of {together} characters"
        print(f"  llama.cpp: {form}: same ids, {alike} of {together} characters of {len(PROMPTS)} greedy texts before they part")


def main(models: list[Path]) -> None:
    assert models, __doc__
    for model in models:
        print(model)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            export(model, place)
            checks = [("gguf", lambda: check_bytes(place)), ("transformers", lambda: check_transformers(model, place)), ("llama_cpp", lambda: check_llama_cpp(place))]
            for module, check in checks:
                check() if has(module) else print(f"  {module} is not installed: left out")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
