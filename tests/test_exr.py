"""The EXR codec agrees with OpenEXR in both directions, and refuses damage in one sentence."""

import io
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facewright.dataset import exr
from facewright.errors import DatasetError


def picture(height=37, width=53, seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.linspace(0, 40, height), np.linspace(-3, 3, width)).astype(np.float32)
    noise = rng.normal(size=(height, width)).astype(np.float32)
    return {"ViewLayer.Depth.Z": smooth, "R": noise, "a_channel_name_longer_than_31_bytes.X": smooth * noise}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 5), (37, 53)])
def test_what_is_written_is_read_back(half, size):
    channels = picture(*size)
    file = io.BytesIO()
    exr.write(file, channels, half)
    back = exr.read(file.getvalue())
    assert set(back) == set(channels)
    for name, values in channels.items():
        assert back[name].dtype == (np.float16 if half else np.float32)
        np.testing.assert_array_equal(back[name], values.astype(back[name].dtype))


def test_openexr_reads_what_we_write(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    channels = picture()
    for half in (False, True):
        path = tmp_path / f"{half}.exr"
        exr.write(path, channels, half)
        with openexr.File(str(path), separate_channels=True) as file:
            assert set(file.channels()) == set(channels)
            for name, values in channels.items():
                np.testing.assert_array_equal(file.channels()[name].pixels, values.astype(np.float16 if half else "f4"))


@pytest.mark.parametrize("compression", ["NO_COMPRESSION", "ZIPS_COMPRESSION", "ZIP_COMPRESSION"])
def test_we_read_what_openexr_writes(tmp_path, compression):
    openexr = pytest.importorskip("OpenEXR")
    channels = picture(50, 41)
    channels["half"] = channels["R"].astype(np.float16)
    channels["ids"] = np.arange(50 * 41, dtype=np.uint32).reshape(50, 41)
    path = tmp_path / "theirs.exr"
    header = {"compression": getattr(openexr, compression), "type": openexr.scanlineimage}
    openexr.File(header, {name: np.ascontiguousarray(value) for name, value in channels.items()}).write(str(path))
    back = exr.read(path)
    assert set(back) == set(channels)
    for name, values in channels.items():
        assert back[name].dtype == values.dtype
        np.testing.assert_array_equal(back[name], values)


def test_other_compressions_are_refused_by_name(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    path = tmp_path / "piz.exr"
    header = {"compression": openexr.PIZ_COMPRESSION, "type": openexr.scanlineimage}
    openexr.File(header, {"R": np.zeros((8, 8), np.float32)}).write(str(path))
    with pytest.raises(DatasetError, match=r"piz\.exr: compression PIZ is not read here"):
        exr.read(path)


def test_a_large_uncompressed_file_is_read_quickly(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    path = tmp_path / "large.exr"
    header = {"compression": openexr.NO_COMPRESSION, "type": openexr.scanlineimage}
    openexr.File(header, {f"L.{i:02}": np.full((512, 512), i, np.float32) for i in range(14)}).write(str(path))
    exr.read(path)
    took = min(_seconds(lambda: exr.read(path)) for _ in range(5))
    assert took < 0.2  # 0.02 s on an idle core; the slack is for a busy machine


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def test_a_file_cut_anywhere_is_refused():
    whole = exr.encode(picture(20, 9))
    for length in [*range(0, len(whole) - 1, 7), len(whole) - 1]:
        with pytest.raises(DatasetError, match="not a complete OpenEXR file"):
            exr.read(whole[:length])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        exr.read(tmp_path / "none.exr")


@example(at=380, value=128)  # an offset beyond every address
@given(at=st.integers(0, 400), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_gives_a_picture_or_a_dataset_error(at, value):
    whole = bytearray(exr.encode(picture(20, 9)))
    whole[at % len(whole)] = value
    try:
        exr.read(bytes(whole))
    except DatasetError as error:
        assert "\n" not in str(error)  # noqa: PT017 (most flips raise, some do not)
