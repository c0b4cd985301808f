"""Hugging Face: Parquet with pictures, class maps, landmarks and attributes, a card, and Croissant metadata."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facewright.attributes import meaning_of
from facewright.dataset.layout import dump, encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, package, require_faces
from facewright.schema import Label

TABLE = "data/train-00000-of-00001.parquet"
GROUP_ROWS = 64
"""Rows that are held in memory and written together."""
LISTS = {
    "landmarks_2d": "iBUG-68 (x, y) px from the corner of the first pixel, the jaw as it is in space",
    "landmarks_contour_2d": "the same with the jaw on the visible contour",
    "landmarks_3d_mm": "iBUG-68 (x, y, z) camera mm: x right, y down, z forward",
    "dense_2d": "478 points (x, y) px, docs/landmarks.md",
    "head_rotation": "3 x 3, head axes to camera axes",
    "camera_K": "3 x 3 intrinsics in px",
}
VECTORS = {
    "face_box": "x0, y0, x1, y1 px",
    "gaze": "unit vector in camera axes",
    "head_translation_mm": "middle between the eyes in camera mm",
}
KINDS = {
    float: ("float64", "sc:Float"),
    int: ("int64", "sc:Integer"),
    str: ("string", "sc:Text"),
    bool: ("bool", "sc:Boolean"),
}


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one row; the card and croissant.json follow at the end."""
    pa, parquet = package("pyarrow", "huggingface"), package("pyarrow.parquet", "huggingface")
    require_faces(dataset, "huggingface")
    (folder / "data").mkdir()
    rows: list[dict[str, Any]] = []
    scalars: dict[str, type] = {}
    with contextlib.ExitStack() as file:
        table: Any = None

        def flush() -> None:
            nonlocal table
            if rows:
                schema = table_schema(pa, scalars)
                if table is None:
                    table = file.enter_context(parquet.ParquetWriter(folder / TABLE, schema, compression="zstd"))
                table.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows.clear()

        def take(view: View) -> None:
            attributes = view.frame.attributes
            scalars.update({name: type(value) for name, value in attributes.items() if name not in scalars})
            rows.append(row_of(view) | attributes)
            if len(rows) == GROUP_ROWS:
                flush()

        yield take
        flush()
    if not scalars:
        return
    (folder / "README.md").write_text(card(dataset), encoding="utf-8")
    (folder / "croissant.json").write_bytes(dump(croissant(dataset, folder / TABLE, scalars), indent=2))


FORMAT = Format("Parquet with pictures, labels and attributes; Croissant (scene face)", ("seg",), False, writer)


def row_of(view: View) -> dict[str, Any]:
    """Return pictures, landmarks and axes of a row."""
    truth = view.truth

    def picture(values: Any, kind: str) -> dict[str, Any]:
        return {"bytes": encode_png(values), "path": f"{view.index:06d}.{kind}.png"}

    return {
        "image": picture(view.picture, "rgb"),
        "seg": picture(view.frame.seg, "seg"),
        "landmarks_2d": truth.landmarks_2d.tolist(),
        "landmarks_contour_2d": truth.landmarks_contour_2d.tolist(),
        "landmarks_3d_mm": truth.landmarks_3d_mm.tolist(),
        "dense_2d": truth.points["dense478"].seen_2d.tolist(),
        "head_rotation": truth.head.rotation.tolist(),
        "camera_K": truth.camera.K.tolist(),
        "face_box": truth.face_box.tolist(),
        "gaze": truth.gaze.tolist(),
        "head_translation_mm": truth.head.translation_mm.tolist(),
        "landmarks_visible": truth.landmarks_visible.tolist(),
    }


def table_schema(pa: Any, scalars: dict[str, type]) -> Any:
    """Return the Arrow schema, with the note by which `datasets` decodes the pictures."""
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    matrix, vector = pa.list_(pa.list_(pa.float64())), pa.list_(pa.float64())
    fields = [
        ("image", picture),
        ("seg", picture),
        *((name, matrix) for name in LISTS),
        *((n, vector) for n in VECTORS),
    ]
    fields.append(("landmarks_visible", pa.list_(pa.bool_())))
    fields += [(name, pa.type_for_alias(KINDS[kind][0])) for name, kind in scalars.items()]
    features: dict[str, Any] = {name: {"_type": "Image"} for name in ("image", "seg")}
    number = {"dtype": "float64", "_type": "Value"}
    features |= {name: {"feature": {"feature": number, "_type": "List"}, "_type": "List"} for name in LISTS}
    features |= {name: {"feature": number, "_type": "List"} for name in VECTORS}
    features["landmarks_visible"] = {"feature": {"dtype": "bool", "_type": "Value"}, "_type": "List"}
    features |= {name: {"dtype": KINDS[kind][0], "_type": "Value"} for name, kind in scalars.items()}
    note = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=note)


def card(dataset: Dataset) -> str:
    """Return README.md: the dataset card's header, and what a reader must know."""
    names = ", ".join(f"{int(label)} {label.name.lower()}" for label in Label)
    return (
        "---\npretty_name: Facewright faces\ntask_categories:\n- image-segmentation\n- keypoint-detection\n"
        "tags:\n- synthetic\n- faces\n"
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*.parquet\n---\n\n"
        f"# {dataset.card.name}\n\n"
        f"{len(dataset)} rendered faces of people who do not exist: recipe {dataset.card.digest}, seed "
        f"{dataset.card.seed}, label contract {dataset.card.schema}. Choose a licence before you publish.\n\n"
        f"Classes of `seg`: {names}.\n"
    )


def croissant(dataset: Dataset, table: Path, scalars: dict[str, type]) -> dict[str, Any]:
    """Return Croissant 1.0 metadata of the Parquet file, attributes and axes as fields."""

    def field(name: str, kind: str, meaning: str) -> dict[str, Any]:
        source = {"fileObject": {"@id": "table"}, "extract": {"column": name}}
        return {"@type": "cr:Field", "@id": f"faces/{name}", "name": name, "description": meaning} | {
            "dataType": kind,
            "source": source,
        }

    fields = [
        field("image", "sc:ImageObject", "the picture"),
        field("seg", "sc:ImageObject", "visible class ids (schema.Label)"),
        *(field(name, "sc:Float", meaning) for name, meaning in {**LISTS, **VECTORS}.items()),
        field("landmarks_visible", "sc:Boolean", "which of the 68 landmarks are visible"),
        *(field(name, KINDS[kind][1], meaning_of(name)) for name, kind in scalars.items()),
    ]
    for made in fields[:2]:
        made["source"]["transform"] = {"jsonPath": "bytes"}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "facewright_" + "".join(letter if letter.isalnum() else "_" for letter in dataset.card.name),
        "description": f"{len(dataset)} rendered faces: recipe {dataset.card.digest}, seed {dataset.card.seed}.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": f"{dataset.card.schema}.0",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "table",
                "name": "table",
                "contentUrl": TABLE,
                "encodingFormat": "application/x-parquet",
                "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
            }
        ],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "faces", "name": "faces", "field": fields}],
    }


CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context that the specification of Croissant 1.0 prescribes."""
