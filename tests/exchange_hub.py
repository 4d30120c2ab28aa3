"""What `huggingface_hub` fetches align finds, and the reverse: one cache, two programs, one hub on this machine.

    python tests/exchange_hub.py target/release/align recipes/quickstart

The folder is a model that align reads. Needs `huggingface_hub`; with `transformers` and `torch` the model that align
fetched is opened too. Exit status 0: every line says "ok".
"""

import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "tiny/story"
LARGE = (".safetensors", ".gguf")


def names(data):
    return hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    files = {}
    asked = []

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def say(self, status, headers, body=b"", send=True):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if send:
            self.wfile.write(body)

    def answer(self, send):
        path = urllib.parse.unquote(self.path.split("?")[0])
        Hub.asked.append(f"{self.command} {path}")
        json_type = {"Content-Type": "application/json"}
        if path.startswith(f"/api/models/{REPOSITORY}/revision/") or path == f"/api/models/{REPOSITORY}":
            siblings = [
                {"rfilename": name, "size": len(data), "blobId": names(data)[1], "lfs": {"sha256": names(data)[0], "size": len(data), "pointerSize": 134} if name.endswith(LARGE) else None}
                for name, data in self.files.items()
            ]
            info = {"_id": "1", "id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "private": False, "disabled": False, "gated": False, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings}
            return self.say(200, json_type, json.dumps(info).encode(), send)
        if path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": names(data)[1], **({"lfs": {"oid": names(data)[0], "size": len(data), "pointerSize": 134}} if name.endswith(LARGE) else {})}
                for name, data in self.files.items()
            ]
            return self.say(200, json_type, json.dumps(tree).encode(), send)
        start = f"/{REPOSITORY}/resolve/"
        if path.startswith(start):
            _, name = path[len(start) :].split("/", 1)
            if name not in self.files:
                return self.say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            data = self.files[name]
            sha256, git = names(data)
            if name.endswith(LARGE):
                headers = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": len(data), "Location": f"http://localhost:{self.server.server_port}/content/{name}"}
                return self.say(302, headers)
            return self.say(200, {"X-Repo-Commit": COMMIT, "ETag": f'"{git}"', "Content-Length": len(data)}, data, send)
        if path.startswith("/content/"):
            data = self.files[path.removeprefix("/content/")]
            begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            headers = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}
            return self.say(206 if begin else 200, headers, data[begin:], send)
        self.say(404, {"X-Error-Code": "RepoNotFound"})


def check(says, what):
    print(f"{'ok' if what else 'FAILED'}: {says}", flush=True)
    if not what:
        print("\n".join(Hub.asked))
        sys.exit(1)


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def main():
    align, folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    Hub.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors", "README.md")}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HF_") and not name.lower().endswith("_proxy")}
    plain.update(HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")

    def python(home, code, **more):
        return run([sys.executable, "-c", code], {**plain, "HF_HOME": home, **more})

    def score(home, **more):
        return run([align, "score", f"hf:{REPOSITORY}", "Once upon a time", "--device", "cpu", "--json"], {**plain, "HF_HOME": home, **more})

    fetch = f"import huggingface_hub as h; print(h.snapshot_download({REPOSITORY!r}))"
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        code, said = python(first, fetch)
        check(f"huggingface_hub fetches: {said.strip().splitlines()[0][-60:] if said.strip() else said}", code == 0)
        Hub.asked.clear()
        code, offline = score(first, HF_HUB_OFFLINE="1")
        check("align finds what it fetched, offline", code == 0)
        check("and asks nobody", not Hub.asked)
        code, said = score(first)
        check("align finds it with a network too", code == 0 and said == offline)
        check("and fetches no weights", not any("safetensors" in asked for asked in Hub.asked))

        Hub.asked.clear()
        code, said = score(second)
        check("align fetches", code == 0 and said.endswith(offline) or offline.strip() in said)
        count = len(Hub.asked)
        code, said = score(second)
        check("and then asks nobody", code == 0 and len(Hub.asked) == count)
        file = f"import huggingface_hub as h; print(h.hf_hub_download({REPOSITORY!r}, 'model.safetensors', local_files_only=True))"
        code, said = python(second, file, HF_HUB_OFFLINE="1")
        check(f"huggingface_hub finds it, offline: {said.strip()[-60:]}", code == 0 and COMMIT in said)
        scan = f"import huggingface_hub as h; i = h.scan_cache_dir(); print(len(i.repos), len(i.warnings), [sorted(r.refs) for r in i.repos])"
        code, said = python(second, scan)
        check(f"its scan finds one repository and nothing wrong: {said.strip()}", code == 0 and said.strip().startswith("1 0 [['main']]"))
        Hub.asked.clear()
        code, said = python(second, fetch)
        check("snapshot_download fetches no weights again", code == 0 and not any(asked.startswith("GET /content/") for asked in Hub.asked))
        models = "import transformers, sys; m = transformers.AutoModelForCausalLM.from_pretrained(%r); print(sum(p.numel() for p in m.parameters()))" % REPOSITORY
        code, said = python(second, models, HF_HUB_OFFLINE="1")
        if "No module named" in said:
            print("left out: transformers is not installed")
        else:
            check(f"transformers opens it, offline: {said.strip().splitlines()[0]} parameters", code == 0)


if __name__ == "__main__":
    main()
