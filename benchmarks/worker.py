"""The child's side of a worker: one subject, one request per line on stdin, one answer each.

    python -m pantiny.benchmarks.worker     started by ``remote.py``, not by hand

Between requests it sleeps in a read: only one worker computes at any time.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .candidate import Unavailable, without_folders
from .subject import Job, Subject

# Module, class, and what must be installed for it.
SUBJECTS = {
    "network": ("ours", "Network", ()),
    "passes": ("ours", "Passes", ()),
    "call": ("ours", "Call", ()),
    "index": ("index_subjects", "Ours", ()),
    "numpy q4": ("index_subjects", "Numpy", ()),
    "torchmetrics": (
        "baselines.torchmetrics_indices",
        "TorchMetrics",
        ("torch", "torchmetrics"),
    ),
    "torch": ("baselines.torch_eager", "Eager", ("torch",)),
    "torch passes": ("baselines.torch_eager", "EagerPasses", ("torch",)),
    "torch.compile": ("baselines.torch_compiled", "Compiled", ("torch",)),
    "onnxruntime": (
        "baselines.onnx_runtime",
        "OnnxRuntime",
        ("torch", "onnx", "onnxscript", "onnxruntime"),
    ),
    "openvino": ("baselines.openvino_runtime", "OpenVino", ("torch", "openvino")),
}


def make_subject(job: Job) -> Subject:
    """The subject of a job.

    Raises
    ------
    Unavailable
        If something it needs is not installed.
    """
    module, name, needed = SUBJECTS[job.subject]
    missing = [m for m in needed if importlib.util.find_spec(m) is None]
    if missing:
        raise Unavailable("missing", f"not installed: pip install {' '.join(missing)}")
    made: Subject = getattr(importlib.import_module(f".{module}", __package__), name)(job)
    return made


def peak_rss_bytes() -> int | None:
    """Of this program. ``getrusage`` would count the parent it was forked from."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else None


class Handler:
    """Answers requests; the first is the job."""

    def __init__(self) -> None:
        self.subject: Subject | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        what = request["do"]
        if what == "start":
            self.subject = make_subject(Job(**request["job"]))
            return {}
        assert self.subject is not None
        if what == "check":
            np.save(request["path"], self.subject.check())
            return {}
        if what == "prepare":
            self.subject.prepare()
            return {}
        if what == "run":
            return {"seconds": self.subject.run(request["buffer"])}
        assert what == "facts"
        return {"facts": {"peak_rss_bytes": peak_rss_bytes(), **self.subject.facts()}}


def main() -> int:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not end up between the answers
    handler = Handler()
    for line in sys.stdin:
        try:
            answer = handler.answer(json.loads(line))
        except Unavailable as error:
            answer = {"unavailable": [error.status, error.reason]}
        except Exception as error:
            text = without_folders(f"{type(error).__name__}: {error}")
            answer = {"unavailable": ["failed", text]}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
