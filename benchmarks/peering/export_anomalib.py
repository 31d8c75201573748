"""Export a model that peering.train_anomalib trained to OpenVINO, by anomalib's own export; runs beside anomalib.

    python -m peering.export_anomalib OUT HEIGHT WIDTH

A batch has one image: with a batch of any size, anomalib's default, PyTorch refuses to trace PatchCore.
"""

import sys
import traceback
from pathlib import Path

import torch

from peering.serving import reason_of


def main(arguments: list[str]) -> int:
    """Write OUT/weights/openvino/model.xml and model.bin; status 1, and the reason at last, where that fails."""
    out, height, width = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    # The file holds the whole model, pickled, as anomalib writes it; this benchmark wrote it itself.
    model = torch.load(out / "weights/torch/model.pt", map_location="cpu", weights_only=False)["model"].eval()
    try:
        model.to_openvino(out, input_size=(height, width), onnx_kwargs={"dynamic_axes": None})
    except Exception as error:  # whatever it is, it is the reason
        traceback.print_exc()
        print(reason_of(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
