"""Does a detector that never saw us find our faces as often as real ones, and where our labels say they are?

    pip install --no-deps "opencv-python-headless<5"
    python benchmarks/face_detect.py --ours DATASET --real DIR [--width 128]

OpenCV's frontal-face cascade (haarcascade_frontalface_default, Lienhart & Maydt 2002) on frames whose head is turned at
most 20 degrees in yaw and pitch against the camera, with bare mouth and eyes, and on real pictures of the same width,
taken as they are. Of ours, the found box against the labelled one. Writes benchmarks/results/face_detect.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import cv2
import numpy as np

import facewright.dataset
from facewright_refiner.pictures import read_pictures

FRONTAL_DEG = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--real", required=True, type=Path)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--most", type=int, default=400, help="real pictures to read")
    args = parser.parse_args()
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    found, overlap, shift, scale = 0, [], [], []
    frontal = [frame for frame in facewright.dataset.open(args.ours, ["rgb"]) if is_frontal(frame)]
    for frame in frontal:
        factor = args.width / frame.rgb.shape[1]
        label = np.array(frame.truth.face_box) * factor
        boxes = detect(detector, frame.rgb, args.width)
        if not len(boxes):
            continue
        shares = [iou(box, label) for box in boxes]
        box = boxes[int(np.argmax(shares))]
        if max(shares) < 0.2:
            continue
        found += 1
        overlap.append(max(shares))
        size = label[2:] - label[:2]
        shift.append(((box[:2] + box[2:]) / 2 - (label[:2] + label[2:]) / 2) / size[0])
        scale.append((box[2] - box[0]) / size[0])
    real = read_pictures(args.real, args.most, 0).images
    seen = sum(len(detect(detector, image, args.width)) > 0 for image in real)
    result = {
        "ours": {"frontal": len(frontal), "found": found, "share": found / len(frontal)},
        "real": {"pictures": len(real), "found": seen, "share": seen / len(real)},
        "box": {
            "iou_median": float(np.median(overlap)),
            "shift_median_widths": np.median(shift, axis=0).tolist(),
            "shift_spread_widths": np.std(shift, axis=0).tolist(),
            "width_over_label_median": float(np.median(scale)),
        },
        "width": args.width,
        "machine": {"opencv": cv2.__version__, "python": platform.python_version(), "numpy": np.__version__},
    }
    folder = Path(__file__).parent / "results"
    (folder / "face_detect.json").write_text(json.dumps(result, indent=1) + "\n")
    box = result["box"]
    lines = [
        "# OpenCV's frontal-face cascade on our faces and on real ones",
        "",
        f"Pictures {args.width} px wide; ours within {FRONTAL_DEG:g} degrees of the camera in yaw and pitch.",
        "",
        "| set | pictures | found | share |",
        "|---|---|---|---|",
        f"| ours, frontal | {len(frontal)} | {found} | {found / len(frontal):.3f} |",
        f"| real, as they are | {len(real)} | {seen} | {seen / len(real):.3f} |",
        "",
        f"Found box against our label (face from brow to chin, ear to ear): IoU {box['iou_median']:.2f} in the median; "
        f"{box['width_over_label_median']:.2f} times as wide; its centre lies "
        f"{box['shift_median_widths'][0]:+.2f}, {box['shift_median_widths'][1]:+.2f} label widths off (x, y), with a "
        f"spread of {box['shift_spread_widths'][0]:.2f}, {box['shift_spread_widths'][1]:.2f}.",
        "",
        ", ".join(f"{key} {value}" for key, value in result["machine"].items()),
        "",
    ]
    (folder / "face_detect.md").write_text("\n".join(lines))
    print("\n".join(lines))


def is_frontal(frame) -> bool:
    wear, head = frame.sample.subject.wear, frame.truth.head
    bare = wear.mask.kind == "none" and wear.glasses.kind != "sun"
    return bare and abs(head.yaw_deg) <= FRONTAL_DEG and abs(head.pitch_deg) <= FRONTAL_DEG


def detect(detector, picture: np.ndarray, width: int) -> np.ndarray:
    """Return boxes (n, 4) as x0, y0, x1, y1."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (width, round(grey.shape[0] * width / grey.shape[1])), interpolation=cv2.INTER_AREA)
    found = detector.detectMultiScale(cv2.equalizeHist(grey), scaleFactor=1.05, minNeighbors=3, minSize=(24, 24))
    return np.array([[x, y, x + w, y + h] for x, y, w, h in found], float).reshape(-1, 4)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    return common / (float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - common)


if __name__ == "__main__":
    main()
