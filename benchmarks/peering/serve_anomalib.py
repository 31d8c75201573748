"""A measuring process for a model of anomalib's, through the inferencers that its documentation shows.

    echo '{"do": "open", "model": "model.xml", ...}' | python -m peering.serve_anomalib

A model that was exported to OpenVINO runs in its OpenVINOInferencer, a .pt file in its TorchInferencer.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.deploy import OpenVINOInferencer, TorchInferencer

from ganspect.preprocess import to_tiles
from peering.serve_openvino import grid_of, rgb
from peering.serving import Array, Judged, read_frames, serve


class Inferencer:
    """A model behind one of anomalib's inferencers; see `peering.serving.Session`."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Load it; the request is that of `peering.serve_openvino`, its precision fp32."""
        path, threads = Path(request["model"]), request["threads"]
        self._inferencer: Any
        if path.suffix == ".pt":
            os.environ["TRUST_REMOTE_CODE"] = "1"  # this benchmark wrote the file itself
            torch.set_num_threads(threads)
            self._inferencer = TorchInferencer(path=path, device="cpu")
        else:
            options = {
                **{"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"},
                "INFERENCE_NUM_THREADS": threads,
            }
            self._inferencer = OpenVINOInferencer(path=path, device="CPU", config=options)
        self._grid = grid_of(request)
        self.frames = read_frames(Path(request["frames"]))

    def score(self, frame: Array) -> float:
        """Return the score of a frame."""
        return self.judge(to_tiles(frame, self._grid).images[0])[0]

    @torch.inference_mode()
    def judge(self, image: Array) -> Judged:
        """Return what the model says of an image (h,w,C) uint8, grey or RGB."""
        found = self._inferencer.predict(rgb(image))
        anomaly_map = None if found.anomaly_map is None else np.asarray(found.anomaly_map).squeeze()
        return float(np.asarray(found.pred_score).squeeze()), anomaly_map


if __name__ == "__main__":
    serve(Inferencer)
