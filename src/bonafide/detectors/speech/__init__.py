"""Does a machine speak? Detectors of synthetic and cloned voices, one file each."""
