"""Trained networks that ride in the package, `<id>-<version>.onnx`, and SHA256SUMS beside them."""
