"""Whether TensorBoard and MLflow read what `align report` writes. By hand:

    align run recipes/quickstart.align --profile smoke
    pip install tensorboard mlflow
    python tests/exchange_trackers.py target/release/align recipes
"""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

align, recipes = sys.argv[1:3]


def said(*arguments):
    return subprocess.run([align, "report", "--in", recipes, *arguments], check=True, capture_output=True, text=True).stdout


data = json.loads(said("--json"))
curves = {(c["stage"], name): [(s, v) for s, v in zip(c["steps"], values) if v is not None]
          for c in data["curves"] if c["run"] is None for name, values in c["series"].items()}
assert curves, "a run with curves of its own is needed: change something and run again"


def close(a, b):
    return len(a) == len(b) and all(s == t and abs(x - y) <= 1e-5 * max(1, abs(y)) for (s, x), (t, y) in zip(a, b))


def tensorboard():
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tempfile.TemporaryDirectory() as folder:
        said("--tensorboard", folder)
        events = EventAccumulator(str(next(pathlib.Path(folder).iterdir())), size_guidance={"scalars": 0})
        events.Reload()
        tags = set(events.Tags()["scalars"])
        for (stage, name), wanted in curves.items():
            found = [(e.step, e.value) for e in events.Scalars(f"{stage}/{name}")]
            assert close(found, wanted), (stage, name, found[:3], wanted[:3])
        results = {t for t in tags if t.startswith("results/")}
        print(f"tensorboard: {len(curves)} curves and {len(results)} results read back")


def mlflow():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        address = f"http://127.0.0.1:{port}"
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--default-artifact-root", folder])
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(address + "/health", timeout=2)
                    break
                except OSError:
                    time.sleep(0.5)
            print(said("--mlflow", address).strip())
            import mlflow as package

            client = package.MlflowClient(address)
            experiment = client.get_experiment_by_name(data["run"]["recipe"])
            run, = client.search_runs([experiment.experiment_id])
            assert run.info.status == ("FINISHED" if data["run"]["exit"] == 0 else "FAILED"), run.info.status
            for (stage, name), wanted in list(curves.items())[:12]:
                found = sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, f"{stage}/{name}"))
                assert close(found, wanted), (stage, name, found[:3], wanted[:3])
            assert any(key.endswith(".lr") for key in run.data.params), run.data.params
            said("--mlflow", address)
            assert len(client.search_runs([experiment.experiment_id])) == 2, "the experiment is found again"
            print(f"mlflow {package.__version__}: {len(run.data.metrics)} numbers, {len(run.data.params)} parameters")
        finally:
            server.terminate()
            server.wait()


for check in (tensorboard, mlflow):
    try:
        check()
    except ModuleNotFoundError as missing:
        print(f"{check.__name__}: skipped, {missing}")
