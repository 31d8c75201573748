"""TensorRT and TensorRT-RTX: one code for both, since their Python interfaces are the same.

The two differ in what `flavour` says of them; `classic` and `rtx` import the one package each. An engine is built from
the bundle's ONNX graph by NVIDIA's own parser, and kept in the bundle's engines.

    with open_backend("tensorrt-rtx", bundle, precision="fp16") as backend:
        outputs = backend.run("score", {"image": tiles})
"""
