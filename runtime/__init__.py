"""What runs beside the camera, without PyTorch: backends, inspector, capture, screening, evaluation."""
