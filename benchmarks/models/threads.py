"""Same seed and data, bound in trials: a training with one thread and one with two leave the same models, byte by byte.

Each is a `train` in a process and a home of its own; the engine's threads and OpenMP's are set, the algebra's are one,
as the command line has them.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.models.part import Asked, figure
from benchmarks.models.sets import DATES, Case
from features.core.progress import say
from training import job

DATA, TRIALS, NO_END = "online_retail", 3, 86_400.0
MODELS = ("models.json", "features.json", "stages.json")


def measured(asked: Asked) -> dict[str, Any]:
    return {threads: _in_a_process(threads) for threads in (1, 2)}


def _in_a_process(threads: int) -> dict[str, Any]:
    say(f"{DATA}: {TRIALS} trials with {threads} threads")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when the child loads its libraries
    child = context.Process(target=_train, args=(threads, theirs))
    child.start()
    theirs.close()
    os.environ.pop("OMP_NUM_THREADS")
    if before is not None:
        os.environ["OMP_NUM_THREADS"] = before
    try:
        return ours.recv()
    except EOFError:
        raise SystemExit("the training stopped without an answer") from None
    finally:
        child.join()


def _train(threads: int, answer: Any) -> None:
    case = Case(DATA, DATES[DATA][-1])
    training = case.settings.training.model_copy(update={"trials": TRIALS, "seconds": NO_END})
    engine = case.settings.engine.model_copy(update={"threads": threads})
    stated = case.settings.model_copy(update={"training": training, "engine": engine})
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        os.environ |= {"LIFECYCLE_HOME": home, "MLFLOW_DISABLE_TELEMETRY": "true"}
        folder = job.train(_history(stated), stated).folder
        files = {
            path.name: _sha(path)
            for path in sorted(folder.iterdir())
            if path.name in MODELS or path.suffix == ".ubj"
        }
        answer.send({"release": folder.name, "files": files})


def _history(stated: Any) -> Any:
    from features.tables import history as histories

    return histories.load(stated)[0]


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def figures(found: dict[str, Any]) -> dict[str, Any]:
    one, two = found[1], found[2]
    differ = [
        name
        for name in one["files"] | two["files"]
        if one["files"].get(name) != two["files"].get(name)
    ]
    return {
        "files_that_differ_with_threads": figure(
            len(differ),
            not differ,
            "0",
            files=differ,
            same_release=one["release"] == two["release"],
        )
    }


def text(found: dict[str, Any]) -> str:
    same = "the same" if found[1] == found[2] else "NOT the same"
    return f"{DATA}, {TRIALS} trials: {len(found[1]['files'])} files, release {found[1]['release']} and {found[2]['release']}: {same}"
