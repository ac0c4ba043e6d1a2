"""Trains a classifier of iris flowers and writes it as ONNX; runs in the build stage.

The data comes with scikit-learn, so nothing is downloaded. The exported model is compared with the trained one before
it is kept, and it carries its own names of classes and features.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LOWEST_ACCURACY = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the iris classifier and write it as ONNX.")
    parser.add_argument("--output", type=Path, default=Path("model.onnx"))
    output = parser.parse_args().output

    data = load_iris()
    flowers = data.data.astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        flowers, data.target, test_size=0.3, random_state=19, stratify=data.target
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(train_x, train_y)
    accuracy = float(model.score(test_x, test_y))
    if accuracy < LOWEST_ACCURACY:
        raise SystemExit(f"train: accuracy {accuracy:.3f} is below {LOWEST_ACCURACY}")

    exported = to_onnx(model, train_x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    onnx.helper.set_model_props(
        exported,
        {
            "classes": json.dumps(data.target_names.tolist()),
            "features": json.dumps(
                [name.removesuffix(" (cm)").replace(" ", "_") for name in data.feature_names]
            ),
            "accuracy": f"{accuracy:.3f}",
        },
    )
    labels = ReferenceEvaluator(exported).run(None, {exported.graph.input[0].name: test_x})[0]
    if not np.array_equal(labels, model.predict(test_x)):
        raise SystemExit("train: the exported model answers otherwise than the trained one")
    output.write_bytes(exported.SerializeToString())
    print(
        f"trained on {len(train_x)} flowers, accuracy {accuracy:.3f} on {len(test_x)}; {output}: {output.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
