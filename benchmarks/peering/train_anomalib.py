"""Train one of anomalib's models on the normal images of a split; runs beside anomalib.

    python -m peering.train_anomalib REQUEST.json

The request names `peer`, `images` (a folder with train/good), `size_hw`, `seed`, `steps` and `out`, where
weights/torch/model.pt and trained.json are written.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import anomalib
import torch
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models.components import AnomalibModule
from lightning.pytorch import seed_everything

from peering.building import BATCH, build
from peering.catalogue import PEERS, Peer


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Train and save a model; return what is worth telling of it."""
    seed_everything(request["seed"])
    peer, out = PEERS[request["peer"]], Path(request["out"])
    model = build(peer, tuple(request["size_hw"]))
    images = Folder(
        name="normal",
        root=request["images"],
        normal_dir="train/good",
        test_split_mode="none",
        val_split_mode="none",
        train_batch_size=BATCH,
        num_workers=0,
        seed=request["seed"],
    )
    images.setup()
    batches = len(images.train_dataloader())
    epochs = 1 if peer.steps is None else math.ceil(request["steps"] / batches)
    engine = Engine(
        default_root_dir=out / "engine",
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        limit_val_batches=0,
        logger=False,
        enable_progress_bar=False,
    )
    engine.fit(model=model, datamodule=images)
    model.to_torch(out)
    return {
        "images": len(images.train_data),
        "epochs": epochs,
        "steps": epochs * batches if peer.steps is not None else None,
        "memory_bank": _memory_bank(peer, model),
        "versions": {"anomalib": anomalib.__version__, "torch": torch.__version__},
    }


def _memory_bank(peer: Peer, model: AnomalibModule) -> dict[str, int] | None:
    """Return how many vectors of how many channels a memory bank has."""
    if peer.sampling is None:
        return None
    vectors, channels = model.model.memory_bank.shape
    return {"vectors": vectors, "channels": channels}


def main(arguments: list[str]) -> int:
    """Train what the request asks for."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    trained = train(request)
    (Path(request["out"]) / "trained.json").write_text(json.dumps(trained), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
