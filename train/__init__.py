"""PyTorch: networks, one file for each system, data, and the fit loop; writes run folders."""
