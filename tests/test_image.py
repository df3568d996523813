"""Pictures of every common kind become upright RGB, and what cannot is refused by name."""

import io
import random
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageFile

from lipsync_core.errors import InputError, LipSyncError
from lipsync_core.video.image import is_picture, read_image, read_image_with_notes

WIDTH, HEIGHT = 64, 48


def card() -> np.ndarray:
    """A picture without any symmetry: red grows to the right, green downwards, a white corner."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 200, WIDTH)
    pixels[..., 1] = np.linspace(0, 200, HEIGHT)[:, None]
    pixels[:8, :8] = 255
    return pixels


def png_of_size(width: int, height: int) -> bytes:
    """A valid PNG header that promises width x height pixels, and next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["png", "webp", "bmp", "tiff", "ppm", "tga"])
def test_a_lossless_picture_comes_back_exactly(tmp_path, kind):
    path = tmp_path / f"face.{kind}"
    Image.fromarray(card()).save(path, lossless=True)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, card())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_by_its_exif_orientation(tmp_path, orientation):
    stored = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](card())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=98, subsampling=0)
    assert np.abs(read_image(path).astype(int) - card()).mean() < 2


def test_sixteen_bits_of_grey_are_scaled_and_not_cut_off(tmp_path):
    grey = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    pixels = read_image(tmp_path / "grey.png")
    np.testing.assert_array_equal(pixels[..., 0], np.rint(grey / 257))
    assert pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("face.jpg" if mode in ("CMYK", "YCbCr") else "face.png")
    image = Image.fromarray(card()).convert(mode)
    image.save(path)
    expected = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(read_image(path) - expected).mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_put_on_black_and_said(tmp_path, mode):
    image = Image.fromarray(np.full((HEIGHT, WIDTH, 3), 200, np.uint8)).convert("RGBA")
    image.paste((255, 255, 255, 0), (0, 0, 32, 48))
    path = tmp_path / "face.png"
    if mode == "P":
        palette = Image.new("P", (WIDTH, HEIGHT), 1)
        palette.putpalette([255, 255, 255, 200, 200, 200])
        palette.paste(0, (0, 0, 32, 48))
        palette.save(path, transparency=0)
    else:
        image.convert(mode).save(path)
    pixels, notes = read_image_with_notes(path)
    assert pixels[:, :32].max() == 0
    assert (pixels[:, 32:] == 200).all()
    assert notes == ("face.png: is partly transparent and was put on black.",)


def test_an_opaque_alpha_channel_is_not_worth_a_word(tmp_path):
    Image.fromarray(card()).convert("RGBA").save(tmp_path / "face.png")
    pixels, notes = read_image_with_notes(tmp_path / "face.png")
    np.testing.assert_array_equal(pixels, card())
    assert notes == ()


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_of_an_animation_the_first_picture_is_used_and_said(tmp_path, kind):
    first, second = Image.new("RGB", (40, 40), (200, 0, 0)), Image.new("RGB", (40, 40), (0, 0, 200))
    path = tmp_path / f"face.{kind}"
    first.save(path, save_all=True, append_images=[second], lossless=True)
    pixels, notes = read_image_with_notes(path)
    assert pixels[20, 20].tolist() == [200, 0, 0]
    assert notes == (f"face.{kind}: has 2 pictures, the first one is used.",)
    assert is_picture(path) == (kind != "gif")


def test_the_content_decides_and_not_the_name(tmp_path):
    Image.fromarray(card()).save(tmp_path / "face.png")
    path = (tmp_path / "face.png").rename(tmp_path / "face.mp4")
    assert is_picture(path)
    np.testing.assert_array_equal(read_image(path), card())


@pytest.mark.parametrize("content", [b"RIFF\0\0\0\0AVI ", b"BM, said the text", b"P5ychology", b"\0\0\0\x18ftypisom"])
def test_what_only_starts_like_a_picture_is_none(tmp_path, content):
    (tmp_path / "file").write_bytes(content + bytes(40))
    assert not is_picture(tmp_path / "file")


def test_a_large_photo_is_scaled_down_and_said(tmp_path):
    Image.new("L", (5400, 3600), 90).save(tmp_path / "photo.png", compress_level=1)
    pixels, notes = read_image_with_notes(tmp_path / "photo.png")
    assert pixels.shape[0] * pixels.shape[1] <= 4096 * 4096
    assert abs(pixels.shape[1] / pixels.shape[0] - 1.5) < 0.001
    assert notes == ("photo.png: 5400x3600 is larger than 4096x4096 and was scaled down.",)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [7100, 10_000, 20_000, 60_000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_of_size(side, side))
    with pytest.raises(InputError, match=r"bomb\.png: .* more than 50 million pixels"):
        read_image(tmp_path / "bomb.png")


def test_a_bomb_is_refused_where_warnings_are_errors_too(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_of_size(10_000, 10_000))
    with pytest.raises(InputError, match="more than 50 million pixels"):
        read_image(tmp_path / "bomb.png")


def refused(tmp_path, name: str, content: bytes) -> str:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / name)
    assert str(caught.value).startswith(f"{name}: ")
    return str(caught.value)


def test_what_is_not_a_usable_picture_is_named_and_told_apart(tmp_path):
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    heic = b"\0\0\0\x18ftypheic" + bytes(60)
    assert "damaged" in refused(tmp_path, "cut.jpg", whole.getvalue()[:-500])
    assert "SVG" in refused(tmp_path, "drawing.png", b"<?xml version='1.0'?><svg></svg>")
    assert "web page" in refused(tmp_path, "page.png", b"<!DOCTYPE html><html></html>")
    assert "text" in refused(tmp_path, "words.png", b"const a = 1;\n" * 20)
    assert "HEIC" in refused(tmp_path, "phone.heic", heic)
    assert "PNG or JPEG" in refused(tmp_path, "phone2.heic", heic)
    assert "empty (0 bytes)" in refused(tmp_path, "empty.png", b"")
    broken = bytearray(png_of_size(64, 64))
    broken[30] ^= 1
    assert "cut.jpg" not in refused(tmp_path, "crc.png", bytes(broken))
    small = io.BytesIO()
    Image.new("RGB", (1, 1)).save(small, "PNG")
    assert "too small" in refused(tmp_path, "dot.png", small.getvalue())


def test_a_picture_of_floats_is_refused(tmp_path):
    Image.fromarray(np.ones((40, 40), np.float32)).save(tmp_path / "depth.tiff")
    with pytest.raises(InputError, match="floating-point"):
        read_image(tmp_path / "depth.tiff")


def test_a_server_opens_fewer_kinds_than_a_user(tmp_path):
    Image.fromarray(card()).save(tmp_path / "face.tiff")
    assert read_image(tmp_path / "face.tiff").shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(InputError, match="TIFF"):
        read_image(tmp_path / "face.tiff", wide=False)


def test_a_file_full_of_metadata_is_refused(tmp_path):
    with (tmp_path / "fat.png").open("wb") as file:
        file.write(png_of_size(64, 64))
        file.truncate(200 << 20)
    with pytest.raises(InputError, match="larger than 192 MB"):
        read_image(tmp_path / "fat.png")


def test_the_host_keeps_its_own_settings_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    limit = Image.MAX_IMAGE_PIXELS
    Image.fromarray(card()).save(tmp_path / "face.png")
    read_image(tmp_path / "face.png")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "tiff", "gif", "ppm", "tga"])
def test_damage_anywhere_ends_in_a_picture_or_an_error_for_the_user(tmp_path, kind):
    data = io.BytesIO()
    Image.fromarray(card()).save(data, kind.upper())
    random_ = random.Random(kind)
    for _ in range(60):
        damaged = bytearray(data.getvalue())
        for _ in range(random_.choice((1, 3, 20))):
            damaged[random_.randrange(len(damaged))] = random_.randrange(256)
        path = tmp_path / "face"
        path.write_bytes(damaged[: random_.choice((len(damaged), random_.randrange(1, len(damaged))))])
        with suppress(LipSyncError):
            is_picture(path)
            assert read_image(path).dtype == np.uint8
