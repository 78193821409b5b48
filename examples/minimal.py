"""Trains a classifier, looks at it, and predicts an image: python minimal.py [FOLDER OF LABELLED IMAGES]."""

import sys

import headstart


def main(data: str = "") -> None:
    """Trains on labelled images; without any, on a drawn sample of cats and dogs."""
    if not data:
        data = "sample"
        headstart.draw_sample(data, per_class=60)
    result = headstart.train(data, backbone="sketchnet", method="head", settings={"head.epochs": 5})
    print(result)
    print(f"accuracy {result.accuracy:.1%}, report in {result.report}")
    print(result.model.predict(data)[:3])


if __name__ == "__main__":
    main(*sys.argv[1:])
