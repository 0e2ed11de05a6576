"""How good a model is on a split: ranking quality and calibration, by shot, adapted and un-adapted."""
