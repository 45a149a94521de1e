"""The service and the web app: `bonafide serve` and `bonafide worker`."""
