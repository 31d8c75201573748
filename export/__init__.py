"""PyTorch to ONNX: the gradient as a graph, the search loop, shared weights, parity; writes bundles."""
