"""Makes the fixtures of the GGUF tests with gguf-py (0.19.0), sentencepiece (0.2) and numpy: `python make.py` writes beside itself,
`python make.py SMOLLM2.gguf` writes checksums of that file's tensors."""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFReader, GGUFWriter, GGUFValueType as V
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

HERE = Path(__file__).parent
FORMATS = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K"]
# Where the f16 scales of a block are: random bits there would often be infinite or not a number.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q4_K": [0, 2], "Q6_K": [208]}


def bits(x):
    return np.ascontiguousarray(x, np.float32).view(np.uint32).ravel().tolist()


def blocks(rng):
    cases = {}
    for name in FORMATS:
        length, size = GGML_QUANT_SIZES[T[name]]
        count = max(3, 16 // length)
        raw = rng.integers(0, 256, (count, size), np.uint8)
        for at in SCALES.get(name, []):
            raw[:, at : at + 2] = rng.normal(0, 0.02, (count, 1)).astype(np.float16).view(np.uint8)
        if length == 1:
            dtype = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}[name]
            x = rng.normal(0, 1, (count, 1)).astype(np.float32)
            x = (x.view(np.uint32) >> 16).astype(np.uint16) if name == "BF16" else x.astype(dtype)
            raw = x.view(np.uint8)
        cases[name] = {"bytes": raw.tobytes().hex(), "numbers": bits(dequantize(raw, T[name]))}
    return cases


def encodings(rng):
    x = rng.normal(0, 0.05, 96).astype(np.float32)
    x[32:64] = 0
    x[64:96] = np.float32(2.0**-9) * np.arange(-16, 16, dtype=np.float32)
    x[64] = np.float32(0.5)
    x[65:70] = np.float32(0.5 / 127) * np.array([0.5, 1.5, -0.5, -2.5, 63.5], np.float32)
    # denormal halves, and a tie between two of them
    x[70:73] = np.array([6e-8, 3.0e-8, 2.0**-25], np.float32)
    return {"numbers": bits(x), "Q8_0": quantize(x, T.Q8_0).tobytes().hex(), "F16": quantize(x, T.F16).tobytes().hex()}


def permute(w, heads):
    """Hugging Face's order of rows to that of llama.cpp's `llama` architecture."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


PARTS = {
    "input_layernorm": ("attn_norm", (32,)),
    "self_attn.q_proj": ("attn_q", (64, 32)),
    "self_attn.k_proj": ("attn_k", (32, 32)),
    "self_attn.v_proj": ("attn_v", (32, 32)),
    "self_attn.o_proj": ("attn_output", (32, 64)),
    "post_attention_layernorm": ("ffn_norm", (32,)),
    "mlp.gate_proj": ("ffn_gate", (64, 32)),
    "mlp.up_proj": ("ffn_up", (64, 32)),
    "mlp.down_proj": ("ffn_down", (32, 64)),
}


def tiny(arch, rng, file):
    """One layer, width 32, four query heads and two key-value heads of 16, biases on q, k and v."""
    w = GGUFWriter(file, arch)
    w.add_block_count(1)
    w.add_context_length(128)
    w.add_embedding_length(32)
    w.add_feed_forward_length(64)
    w.add_head_count(4)
    w.add_head_count_kv(2)
    w.add_key_length(16)
    w.add_value_length(16)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(500000.0)
    for name, value, kind in [
        ("u8", 200, V.UINT8), ("i8", -100, V.INT8), ("u16", 60000, V.UINT16), ("i16", -30000, V.INT16),
        ("u32", 4_000_000_000, V.UINT32), ("i32", -2_000_000_000, V.INT32), ("f32", 0.1, V.FLOAT32),
        ("bool", True, V.BOOL), ("text", "grüße", V.STRING), ("u64", 2**63, V.UINT64), ("i64", -(2**62), V.INT64),
        ("f64", 0.1, V.FLOAT64),
    ]:
        w.add_key_value(f"test.{name}", value, kind)
    w.add_array("test.array", [1, 2, 3])
    w.add_array("test.texts", ["a", "", "ß"])
    w.add_array("test.nested", [[1, 2], [3]])
    tensors = {}

    def add(name, hf, shape, heads=None):
        x = rng.normal(0, 0.1, shape).astype(np.float32)
        own = permute(x, heads) if heads and arch == "llama" else x
        if len(shape) == 2 and heads is None and "down" in name:
            raw = quantize(own, T.Q8_0)
            w.add_tensor(name, raw, raw_dtype=T.Q8_0)
            x = dequantize(raw, T.Q8_0)
        else:
            w.add_tensor(name, own)
        tensors[hf] = {"shape": list(shape), "numbers": bits(x)}

    add("token_embd.weight", "model.embed_tokens.weight", (6, 32))
    add("output_norm.weight", "model.norm.weight", (32,))
    for n in range(1):
        for hf, (own, shape) in PARTS.items():
            heads = {"attn_q": 4, "attn_k": 2}.get(own)
            add(f"blk.{n}.{own}.weight", f"model.layers.{n}.{hf}.weight", shape, heads)
            if own in ("attn_q", "attn_k", "attn_v"):
                add(f"blk.{n}.{own}.bias", f"model.layers.{n}.{hf}.bias", shape[:1], heads)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return checksums(tensors)


def checksum(numbers):
    """Σ (i + 1) · bits(x_i) modulo 2^64."""
    x = np.asarray(numbers, np.uint64)
    with np.errstate(over="ignore"):
        return str(int((x * np.arange(1, len(x) + 1, dtype=np.uint64)).sum(dtype=np.uint64)))


def checksums(tensors):
    return {name: {"shape": t["shape"], "checksum": checksum(t["numbers"])} for name, t in tensors.items()}


def sentence_piece():
    """A small SentencePiece BPE vocabulary, and what SentencePiece itself makes of some texts."""
    import io

    import sentencepiece as spm

    model = io.BytesIO()
    words = Path(__file__).read_text().splitlines() + TEXTS
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_writer=model, model_type="bpe", vocab_size=500, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.98,
        user_defined_symbols=["<tool>"], control_symbols=["<pad>"], num_threads=1, minloglevel=2,
    )
    sp = spm.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(sp.get_piece_size())

    def kind(i):
        if sp.is_byte(i):
            return 6
        if sp.is_control(i):
            return 3
        if sp.is_unknown(i):
            return 2
        return 4 if sp.id_to_piece(i) == "<tool>" else 1

    return {
        "tokens": [sp.id_to_piece(i) for i in ids],
        "scores": [sp.get_score(i) for i in ids],
        "types": [kind(i) for i in ids],
        "cases": [{"text": t, "ids": sp.encode(t)} for t in TEXTS + words[:40]],
    }


TEXTS = [
    "Hello, world!", " leading and  double   spaces ", "tabs\tand\nnewlines", "ünïcödé — 日本語 🙂", "aaaaaaaaaaa", "",
    "<s> is not a token", "e vs é", "def tiny(arch, rng, file):", "reshape(reshape(reshape",
]


def write(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1 if name == "tiny.json" else None) + "\n")


def real(path):
    reader = GGUFReader(path)
    back = {own: hf for hf, (own, _) in PARTS.items()}
    found = {}
    for t in reader.tensors:
        x = dequantize(t.data, t.tensor_type).reshape([int(n) for n in t.shape[::-1]])
        name = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}.get(t.name)
        if name is None:
            _, n, own, kind = t.name.split(".")
            name = f"model.layers.{n}.{back[own]}.{kind}"
            heads = {"attn_q": 9, "attn_k": 3}.get(own)
            if heads:
                half = x.shape[0] // heads // 2
                x = x.reshape(heads, half, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)
        shape = list(x.shape)
        found[name] = {"shape": shape, "checksum": checksum(np.ascontiguousarray(x, np.float32).view(np.uint32).ravel())}
    return found


if len(sys.argv) > 1:
    write("smollm2.json", real(sys.argv[1]))
else:
    rng = np.random.default_rng(7)
    write("blocks.json", {"decode": blocks(rng), "encode": encodings(rng)})
    write("sentence_piece.json", sentence_piece())
    write("tiny.json", {arch: tiny(arch, rng, HERE / f"tiny-{arch}.gguf") for arch in ("llama", "qwen2")})
