import struct
from pathlib import Path

import numpy as np
import pytest

from ganspect.datasets.images import image_paths, read_image
from ganspect.errors import ImageError
from ganspect.opencv import cv2


def picture(*, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    shape = (30, 40) if channels == 1 else (30, 40, channels)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def encoded(suffix: str, image: np.ndarray | None = None) -> bytes:
    content: bytes = cv2.imencode(suffix, picture() if image is None else image)[1].tobytes()
    return content


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_come_back_as_stored(tmp_path: Path, suffix: str, channels: int) -> None:
    image = picture(channels=channels)
    read = read_image(write(tmp_path / f"a{suffix}", encoded(suffix, image)))
    assert read.dtype == np.uint8
    assert np.array_equal(read.reshape(image.shape), image)


def test_jpeg_is_read(tmp_path: Path) -> None:
    assert read_image(write(tmp_path / "a.jpg", encoded(".jpg"))).shape == (30, 40, 3)


def test_progressive_jpeg_with_a_comment_is_read(tmp_path: Path) -> None:
    content = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[
        1
    ].tobytes()
    comment = b"\xff\xfe\x00\x06\xff\xd9ab"
    assert read_image(write(tmp_path / "a.jpg", content[:2] + comment + content[2:] + b"\0\0")).shape == (30, 40, 3)


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    image = picture(channels=1, dtype=np.uint16)
    assert np.array_equal(read_image(write(tmp_path / "a.png", encoded(".png", image))), image)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_truncated_is_refused_silently(
    tmp_path: Path, suffix: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    content = encoded(suffix)
    path = write(tmp_path / f"a{suffix}", content[: int(len(content) * share)])
    with pytest.raises(ImageError, match=r"a\.\w+ is (truncated or corrupt|corrupt)"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_refused(tmp_path: Path) -> None:
    content, thumbnail = encoded(".jpg"), encoded(".jpg", picture(channels=1))
    exif = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = content[:2] + exif + content[2:]
    assert read_image(write(tmp_path / "whole.jpg", whole)).shape == (30, 40, 3)
    with pytest.raises(ImageError, match="truncated"):
        read_image(write(tmp_path / "cut.jpg", whole[:-200]))


def test_one_changed_byte_of_a_png_is_noticed_silently(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(encoded(".png"))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="truncated or corrupt"):
        read_image(write(tmp_path / "a.png", bytes(content)))
    assert capfd.readouterr() == ("", "")


def test_a_damaged_tiff_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="truncated or corrupt"):
        read_image(write(tmp_path / "a.tif", b"II*\0\xff\xff\xff\x7f"))


def test_zero_bytes(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.png is empty \(0 bytes\)"):
        read_image(write(tmp_path / "a.png", b""))


def test_another_format(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no PNG, JPEG, BMP or TIFF"):
        read_image(write(tmp_path / "a.png", b"this is text"))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        read_image(tmp_path / "a.png")


def test_alpha_channel(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="has 4 channels"):
        read_image(write(tmp_path / "a.png", encoded(".png", picture(channels=4))))


def test_floating_point_values(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="holds 32 bit values"):
        read_image(write(tmp_path / "a.tif", encoded(".tif", np.zeros((8, 8), np.float32))))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_a_header_of_50000x50000_is_refused_without_decoding(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    path = write(tmp_path / f"a{suffix}", with_side(bytearray(encoded(suffix)), suffix, 50_000))
    with pytest.raises(ImageError, match="is 50000x50000 pixels, at most 100 megapixels"):
        read_image(path)


def with_side(content: bytearray, suffix: str, side: int) -> bytes:
    """Return an encoded image whose header claims another width and height."""
    if suffix == ".png":
        struct.pack_into(">II", content, 16, side, side)
    elif suffix == ".bmp":
        struct.pack_into("<ii", content, 18, side, side)
    elif suffix == ".jpg":
        struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, side, side)
    else:
        (directory,) = struct.unpack_from("<I", content, 4)
        for entry in range(directory + 2, directory + 2 + 12 * content[directory], 12):
            if struct.unpack_from("<H", content, entry)[0] in (256, 257):
                struct.pack_into("<HII", content, entry + 2, 4, 1, side)
    return bytes(content)


def test_image_paths_are_sorted_and_without_hidden_or_other_files(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in image_paths(tmp_path)] == ["a.jpeg", "b.PNG"]
