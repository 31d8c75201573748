"""What benchmarks/peers.py is made of: environments, splits, measuring processes, rows.

python benchmarks/peers.py --out DIR --data ../shared/data

Modules that run inside anomalib's environment, `python -m peering.NAME`, need no package of ganspect's but NumPy,
OpenCV and PyTorch: weights, backbone, coreset, building, train_anomalib, export_anomalib, serve_anomalib,
serve_openvino, with catalogue and serving, which need none.
"""
