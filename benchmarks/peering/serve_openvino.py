"""A measuring process for a model that anomalib exported, in OpenVINO alone, without anomalib or PyTorch.

echo '{"do": "open", "model": "model.xml", ...}' | python -m peering.serve_openvino
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino

from ganspect.preprocess import TileGrid, to_tiles
from peering.serving import Array, Judged, read_frames, serve


class OpenVinoAlone:
    """An exported model; see `peering.serving.Session`."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Compile it.

        Args:
            request: `model`, the path of its .xml; `precision`, fp32 or bf16; `threads`; `size_hw` and `channels` of
                images; `frames`, the path of their file.
        """
        hint = {"fp32": "f32", "bf16": "bf16"}[request["precision"]]
        options = {
            **{"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"},
            "INFERENCE_NUM_THREADS": request["threads"],
        }
        core = openvino.Core()
        self._compiled = core.compile_model(request["model"], "CPU", options)
        self._request = self._compiled.create_infer_request()
        self._outputs = {name: port for port in self._compiled.outputs for name in port.get_names()}
        self._grid = grid_of(request)
        self.frames = read_frames(Path(request["frames"]))

    def score(self, frame: Array) -> float:
        """Return the score of a frame."""
        return self.judge(to_tiles(frame, self._grid).images[0])[0]

    def judge(self, image: Array) -> Judged:
        """Return what the model says of an image (h,w,C) uint8, grey or RGB."""
        planes = np.ascontiguousarray(rgb(image).transpose(2, 0, 1)[None], np.float32)
        planes *= np.float32(1 / 255)
        found = self._request.infer([planes], share_inputs=True)
        anomaly_map = self._outputs.get("anomaly_map")
        return float(found[self._outputs["pred_score"]].squeeze()), (
            None if anomaly_map is None else found[anomaly_map].squeeze().copy()
        )


def grid_of(request: Mapping[str, Any]) -> TileGrid:
    """Return how frames are brought to the size of a model's images: as ganspect does it."""
    height, width = request["size_hw"]
    channels: Literal[1, 3] = 1 if request["channels"] == 1 else 3
    return TileGrid((height, width), channels)


def rgb(image: Array) -> Array:
    """Return an image (h,w,C) with three channels, equal ones where it is grey."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


if __name__ == "__main__":
    serve(OpenVinoAlone)
