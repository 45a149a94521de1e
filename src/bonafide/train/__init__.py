"""Training: one file per method over a shared loop. The only place that imports PyTorch."""
