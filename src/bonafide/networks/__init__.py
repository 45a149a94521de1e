"""Trained networks: where their files lie, how they are checked, opened and run.

It knows ONNX files, published checkpoints and the hub that they are fetched from. It must not know
any detector, and nothing here trains.
"""
