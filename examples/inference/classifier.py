"""The model: an ONNX session and the names that the model carries. Imports nothing but onnxruntime and numpy."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime


@dataclass(frozen=True, slots=True)
class Prediction:
    """One flower's class, and the probability of each class."""

    species: str
    probabilities: dict[str, float]


class Classifier:
    """Answers with the class of flowers; safe to call from several threads."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a pod is scaled by adding pods, not threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        facts = self._session.get_modelmeta().custom_metadata_map
        self.classes: tuple[str, ...] = tuple(json.loads(facts["classes"]))
        self.features: tuple[str, ...] = tuple(json.loads(facts["features"]))
        self.accuracy = float(facts["accuracy"])

    def predict(self, flowers: Sequence[Sequence[float]]) -> list[Prediction]:
        """Return a prediction for each flower. Shape: a flower has one number for each of `features`."""
        labels, weights = self._session.run(None, {self._input: np.asarray(flowers, dtype=np.float32)})
        return [
            Prediction(
                self.classes[label], dict(zip(self.classes, (round(float(w), 4) for w in row), strict=True))
            )
            for label, row in zip(labels, weights, strict=True)
        ]

    def burn(self, cpu_ms: float) -> int:
        """Predict again and again until the thread has used `cpu_ms` of CPU; returns how often."""
        batch = np.tile(np.asarray([[5.1, 3.5, 1.4, 0.2]], dtype=np.float32), (512, 1))
        end, rounds = time.thread_time() + cpu_ms / 1000, 0
        while time.thread_time() < end:
            self._session.run(None, {self._input: batch})
            rounds += 1
        return rounds
