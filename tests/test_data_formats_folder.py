import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from gancli.data import DataRequest, load
from gancli.data.formats import folder as folder_module
from gancli.data.formats import images
from gancli.data.formats.folder import image_files


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def plain(mode, colour, size=(6, 4)):
    return Image.new(mode, size, colour)


def only(folder, request=DataRequest()):  # noqa: B008
    """The one image that a folder holds, as an array."""
    (image,) = load(str(folder), request).examples
    return image


def test_sub_folders_are_labels_in_sorted_order(folder):
    for name, level in (("zebra", 10), ("ant", 20), ("bee", 30)):
        (folder / name / "deeper").mkdir(parents=True)
        plain("L", level).save(folder / name / "1.png")
        plain("L", level + 1).save(folder / name / "deeper" / "0.PNG")
    dataset = load(str(folder))
    assert dataset.spec.kind == "image"
    assert dataset.spec.shape == (4, 6, 1)
    assert dataset.spec.classes == ("ant", "bee", "zebra")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.examples[:, 0, 0, 0].tolist() == [20, 21, 30, 31, 10, 11]
    assert isinstance(dataset.examples, np.memmap)


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "ppm", "pgm", "pbm", "PNM", "tif", "avif"])
def test_what_pillow_reads_is_read_whatever_its_suffix(folder, suffix):
    kind = {"jfif": "JPEG", "jpe": "JPEG", "tif": "TIFF", "avif": "AVIF"}.get(suffix, "PPM")
    image = plain({"pgm": "L", "pbm": "1"}.get(suffix, "RGB"), 255 if suffix == "pbm" else 40)
    image.save(folder / f"a.{suffix}", kind)
    assert abs(int(only(folder)[0, 0, 0]) - np.asarray(image.convert("RGB"))[0, 0, 0]) <= 3


def test_a_pgm_of_sixteen_bits_is_scaled(folder):
    (folder / "a.pgm").write_bytes(b"P5 2 1 65535 " + bytes([255, 255, 128, 128]))
    assert only(folder).tolist() == [[[255], [128]]]
    (folder / "a.pgm").write_bytes(b"P5 3 1 4095 " + bytes([15, 255, 8, 0, 0, 0]))
    assert only(folder).tolist() == [[[255], [128], [0]]]


def test_what_is_passed_over_is_counted_and_named(folder):
    plain("L", 200).save(folder / "0.png")
    assert load(str(folder)).notices == ()
    for name in ("b.heic", "a.HEIC", "labels.csv", "000001", ".hidden"):
        (folder / name).write_text("")
    os.mkfifo(folder / "pipe.png")
    (notice,) = load(str(folder)).notices
    for part in ("2 .heic (a.HEIC", "1 .csv (labels.csv)", "(000001)", "pipe.png"):
        assert part in notice
    assert image_files(folder)[1] == (notice,)


def test_what_file_managers_leave_is_neither_data_nor_a_class(folder):
    plain("L", 200).save(folder / "0.png")
    for name in ("Thumbs.db", "desktop.ini", "._0.png"):
        (folder / name).write_text("")
    for name in ("@eaDir", "__MACOSX"):  # A thumbnail of Synology; what an archive of macOS has.
        (folder / name).mkdir()
        plain("RGB", 9).save(folder / name / "SYNOPHOTO_THUMB_M.jpg")
    dataset = load(str(folder))
    assert (len(dataset.examples), dataset.spec.classes, dataset.notices) == (1, (), ())


def test_images_without_sub_folders_have_no_labels(folder):
    for number in (2, 0, 1):
        plain("L", number).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_text("not an image")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "thumbnail.png").write_text("not an image")
    dataset = load(str(folder))
    assert dataset.labels is None
    assert dataset.spec.classes == ()
    assert dataset.examples[:, 0, 0, 0].tolist() == [0, 1, 2]


def of_gan(place, *files):
    """A folder with such files, and a picture in it and one below."""
    (place / "images").mkdir(parents=True)
    for picture in ("grid.png", "images/0.png"):
        plain("L", 200).save(place / picture)
    for name, content in files:
        (place / name).write_text(content)


RUN = (("config.json", "{}"), ("run.json", "{}"))
SAMPLES = (("manifest.json", '{"checkpoint_sha256": "0"}'),)


@pytest.mark.parametrize("files", [RUN, SAMPLES])
@pytest.mark.parametrize("place", ["run", "runs/a/b", "ant/run"])
@pytest.mark.parametrize("classes", [False, True])
def test_what_gan_made_is_no_data(folder, files, place, classes):
    names = ["ant/0.png", "bee/0.png"] if classes else ["0.png", "1.png"]
    for level, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        plain("L", 200 + level).save(folder / name)
    before = load(str(folder))
    of_gan(folder / place, *files)
    dataset = load(str(folder))
    assert dataset.fingerprint == before.fingerprint
    assert dataset.spec.classes == (("ant", "bee") if classes else ())
    assert before.notices == ()
    (notice,) = dataset.notices
    assert str(folder / place) in notice
    assert image_files(folder)[0] == tuple(folder / name for name in names)
    with refused(str(folder / place), remedy="folder in it"):
        load(str(folder / place))


@pytest.mark.parametrize("content", ["{}", "[]", "x", '{"name": "checkpoint_sha256"}'])
def test_a_manifest_of_others_does_not_hide_images(folder, content):
    plain("L", 0).save(folder / "0.png")
    (folder / "manifest.json").write_text(content)
    (folder / "config.json").write_text("{}")
    assert len(load(str(folder)).examples) == 1


def test_the_same_files_are_labelled_by_the_folder_that_is_named(folder):
    (folder / "ant").mkdir()
    plain("L", 1).save(folder / "ant" / "1.png")
    assert load(str(folder)).spec.classes == ("ant",)
    assert load(str(folder / "ant")).spec.classes == ()


@pytest.mark.parametrize("suffix", ["png", "webp", "gif", "bmp", "tiff", "jpg", "JPEG"])
def test_every_format_is_read(folder, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    plain("RGB", (200, 100, 50)).save(folder / f"one.{suffix}", **options)
    image = only(folder)
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    tolerance = 3 if suffix in ("jpg", "JPEG") else 0
    assert np.abs(image.astype(int) - [200, 100, 50]).max() <= tolerance


def palette(colours, transparent=None):
    """An image with two palette entries, left half the first and right half the second."""
    image = Image.fromarray(np.repeat([[0, 0, 0, 1, 1, 1]], 4, axis=0).astype(np.uint8), "P")
    image.putpalette([level for colour in colours for level in colour])
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


def sixteen_bit(values):
    return Image.fromarray(np.array(values, np.uint16))


# Half of 100 over white: (100 * 128 + 255 * 127) / 255 = 177.2.
CONVERSIONS = {
    "grey": (plain("L", 77), "png", 77),
    "two levels": (plain("1", 1), "png", 255),
    "grey and alpha": (plain("LA", (100, 128)), "png", 177),
    "transparent grey": (plain("LA", (100, 0)), "png", 255),
    "colour": (plain("RGB", (1, 2, 3)), "png", (1, 2, 3)),
    "colour and alpha": (plain("RGBA", (100, 255, 0, 128)), "png", (177, 255, 127)),
    "opaque": (plain("RGBA", (10, 20, 30, 255)), "png", (10, 20, 30)),
    "print": (plain("CMYK", (0, 255, 255, 0)), "tiff", (255, 0, 0)),
}


@pytest.mark.parametrize(("image", "suffix", "expected"), CONVERSIONS.values(), ids=CONVERSIONS)
def test_pixels_become_grey_or_colour_on_white(folder, image, suffix, expected):
    image.save(folder / f"one.{suffix}")
    pixels = only(folder)
    channels = 1 if isinstance(expected, int) else 3
    assert pixels.shape == (4, 6, channels)
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected, (4, 6, channels)))


def test_cmyk_jpeg_becomes_rgb(folder):
    plain("CMYK", (0, 255, 255, 0)).save(folder / "one.jpg", quality=100)
    assert np.abs(only(folder).astype(int) - [255, 0, 0]).max() <= 4


def test_palettes_are_looked_up_and_their_transparency_laid_on_white(folder):
    palette([(10, 20, 30), (200, 0, 0)]).save(folder / "one.png")
    image = only(folder)
    assert image[0, 0].tolist() == [10, 20, 30]
    assert image[0, 5].tolist() == [200, 0, 0]
    palette([(10, 20, 30), (200, 0, 0)], transparent=1).save(folder / "one.png", transparency=1)
    os.utime(folder / "one.png", (1, 1))
    image = only(folder)
    assert image[0, 0].tolist() == [10, 20, 30]
    assert image[0, 5].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palette_of_greys_is_grey(folder, suffix):
    palette([(10, 10, 10), (90, 90, 90)]).save(folder / f"one.{suffix}")
    image = only(folder)
    assert image.shape == (4, 6, 1)
    assert image[0, 0, 0] == 10
    assert image[0, 5, 0] == 90


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_is_scaled_not_clipped(folder, suffix):
    sixteen_bit([[0, 257, 32896, 65535, 300]]).save(folder / f"one.{suffix}")
    # 65535 / 255 = 257; 300 / 257 rounds to 1.
    assert only(folder)[0, :, 0].tolist() == [0, 1, 128, 255, 1]


def dark(folder, values, mode="L"):
    image = sixteen_bit([values]) if mode == "I;16" else Image.new(mode, (len(values), 1))
    if mode != "I;16":
        image.putdata(values)
    image.save(folder / "0.png")


@pytest.mark.parametrize(
    ("mode", "values", "level"),
    [
        ("I;16", [0, 2048, 4095], 4095),
        ("I;16", [0, 512, 1023], 1023),
        ("I;16", [0, 8192, 16383], 16383),
        ("L", [0, 1], 1),
        ("RGB", [(0, 9, 0), (15, 0, 0)], 15),
    ],
)
def test_images_that_use_a_sliver_of_their_range_are_told_of(folder, mode, values, level):
    dark(folder, values, mode)
    for _ in range(2):  # Decoded, and from the cache.
        (notice,) = load(str(folder)).notices
        assert f"--set data.white_level={level}" in notice
    dataset = load(str(folder), DataRequest(white_level=level))
    assert dataset.notices == ()
    # 2048 · 255 / 4095 = 127.53, 512 · 255 / 1023 = 127.6 and 8192 · 255 / 16383 = 127.51.
    expected = {1: [0, 255], 15: [[0, 153, 0], [255, 0, 0]]}.get(level, [0, 128, 255])
    assert dataset.examples[0, 0].squeeze().tolist() == expected


def test_a_white_level_leaves_opacity_and_is_not_of_more_bits(folder):
    plain("RGBA", (15, 0, 0, 0)).save(folder / "0.png")
    plain("LA", (15, 255)).save(folder / "1.png")
    examples = load(str(folder), DataRequest(white_level=15)).examples
    assert examples[:, 0, 0].tolist() == [[255, 255, 255], [255, 255, 255]]
    with refused("0.png", "8 bits", "4095"):
        load(str(folder), DataRequest(white_level=4095))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_kept_where_asked_for(folder, suffix):
    sixteen_bit([[0, 1], [32768, 65535]]).save(folder / f"one.{suffix}")
    dataset = load(str(folder), DataRequest(keep="16bit"))
    assert (dataset.spec.shape, dataset.spec.bits) == ((2, 2, 1), 16)
    assert dataset.examples.dtype == np.uint16
    assert dataset.examples[0, ..., 0].tolist() == [[0, 1], [32768, 65535]]
    assert load(str(folder)).fingerprint != dataset.fingerprint


def test_sixteen_bits_are_turned_upright_and_scaled_to_white(folder):
    turned = Image.Exif()
    turned[0x0112] = 6
    sixteen_bit([[0, 1], [2048, 4095]]).save(folder / "one.png", exif=turned)
    with_white = DataRequest(keep="16bit", white_level=4095)
    # 2048 / 4095 of 65535 is 32775.5.
    assert only(folder, with_white)[..., 0].tolist() == [[32776, 0], [65535, 16]]
    (notice,) = load(str(folder), DataRequest(keep="16bit")).notices
    assert "4095 of 65535" in notice
    assert "--set data.white_level=4095" in notice


def test_sixteen_bits_are_not_kept_of_images_that_have_8(folder):
    sixteen_bit([[0] * 6] * 4).save(folder / "0.png")
    plain("RGB", (1, 2, 3)).save(folder / "1.png")
    plain("L", 1).save(folder / "2.png")
    with refused("16bit", "1.png", "RGB", " 2", allowed="grey", remedy=("data.keep", ".npz")):
        load(str(folder), DataRequest(keep="16bit"))


def test_opacity_is_kept_where_asked_for(folder):
    plain("RGBA", (100, 255, 0, 128)).save(folder / "0.png")
    plain("LA", (7, 0)).save(folder / "1.png")
    plain("L", 9).save(folder / "2.png")
    palette([(10, 20, 30), (200, 0, 0)], transparent=1).save(folder / "3.png", transparency=1)
    dataset = load(str(folder), DataRequest(keep="alpha"))
    assert (dataset.spec.shape, dataset.spec.bits) == ((4, 6, 4), 8)
    assert dataset.examples[:3, 0, 0].tolist() == [[100, 255, 0, 128], [7, 7, 7, 0], [9, 9, 9, 255]]
    assert dataset.examples[3, 0, [0, 5]].tolist() == [[10, 20, 30, 255], [200, 0, 0, 0]]
    padded = load(str(folder), DataRequest(keep="alpha", size=6, fit="pad")).examples
    assert padded[2, 0, 0].tolist() == [0, 0, 0, 0]


def test_black_images_are_told_of(folder):
    plain("L", 0).save(folder / "0.png")
    (notice,) = load(str(folder)).notices
    assert "white_level" not in notice
    plain("L", 85).save(folder / "1.png")
    assert load(str(folder)).notices == ()


def test_pixels_of_32_bits_are_refused(folder):
    Image.fromarray(np.ones((4, 6), np.float32)).save(folder / "one.tiff")
    with refused("one.tiff", "32-bit"):
        load(str(folder))


def test_one_colour_image_makes_the_whole_set_colour(folder):
    plain("L", 9).save(folder / "0.png")
    plain("RGB", (1, 2, 3)).save(folder / "1.png")
    dataset = load(str(folder))
    assert dataset.spec.shape == (4, 6, 3)
    assert dataset.examples[0, 0, 0].tolist() == [9, 9, 9]


def test_the_first_frame_of_an_animation_is_used(folder):
    frames = [plain("RGB", (255, 0, 0)), plain("RGB", (0, 0, 255))]
    frames[0].save(folder / "one.gif", save_all=True, append_images=frames[1:])
    assert only(folder)[0, 0].tolist() == [255, 0, 0]


def test_exif_rotation_is_applied(folder):
    image = Image.new("L", (6, 4))
    image.paste(255, (0, 0, 2, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # "Rotate 90 degrees clockwise to view": the top left becomes top right.
    image.save(folder / "one.png", exif=exif)
    pixels = only(folder)
    assert pixels.shape == (6, 4, 1)
    assert pixels[0, 3, 0] == 255
    assert pixels[0, 0, 0] == 0
    assert pixels[5, 3, 0] == 0


def test_sizes_may_differ_only_where_one_is_requested(folder):
    plain("L", 1, (6, 4)).save(folder / "a.png")
    plain("L", 2, (5, 9)).save(folder / "b.png")
    with refused("a.png", "4x6", "b.png", "9x5", remedy="--set data.size=64") as caught:
        load(str(folder))
    places = [caught.value.given.index(name) for name in ("a.png", "b.png", "4x6", "9x5")]
    assert (places[0] < places[1]) == (places[2] < places[3])
    dataset = load(str(folder), DataRequest(size=4))
    assert dataset.examples.shape == (2, 4, 4, 1)
    assert dataset.examples[:, 0, 0, 0].tolist() == [1, 2]


def test_crop_and_pad_differ(folder):
    plain("L", 200, (8, 4)).save(folder / "a.png")
    assert only(folder, DataRequest(size=8, fit="crop")).min() == 200
    padded = only(folder, DataRequest(size=8, fit="pad"))[:, :, 0]
    assert padded[:2].max() == 0
    assert padded[6:].max() == 0
    assert padded[2:6].min() == 200
    assert only(folder, DataRequest(size="2x8")).shape == (2, 8, 1)
    assert only(folder, DataRequest(size="8x2")).shape == (8, 2, 1)  # As many bytes.


def test_decoded_images_are_kept_until_a_file_changes(folder, monkeypatch):
    for number in range(3):
        plain("L", number).save(folder / f"{number}.png")
    first = load(str(folder)).fingerprint
    with monkeypatch.context() as patch:
        patch.setattr(folder_module.cache, "_write", pytest.fail)
        assert load(str(folder)).fingerprint == first
    path = folder / "1.png"
    status = path.stat()
    plain("L", 7).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert load(str(folder)).examples.max() == 7
    plain("L", 9).save(folder / "3.png")
    assert len(load(str(folder)).examples) == 4


def broken(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_a_truncated_file_is_refused_by_name(folder, suffix):
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / f"a.{suffix}")
    path = folder / f"b.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(broken(path.read_bytes()))
    with refused(f"b.{suffix}", allowed=("PNG", "TIFF")):
        load(str(folder))


def half_broken(folder, names, keep):
    """Sound images at even places, and damaged ones of so many bytes at odd ones."""
    noise = np.random.default_rng(0).integers(256, size=(4, 6), dtype=np.uint8)
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise + np.uint8(place)).save(folder / name)
        if place % 2:
            (folder / name).write_bytes((folder / name).read_bytes()[:keep])


@pytest.mark.parametrize("keep", [4, 60])  # In the header, and in the pixels.
def test_all_damaged_files_are_named_and_left_out_on_request(folder, keep):
    names = [f"{number:02d}.png" for number in range(6)]
    half_broken(folder, names, keep)
    with refused("01.png", "03.png", "05.png", remedy="--set data.skip_damaged=true"):
        load(str(folder))
    for _ in range(2):  # Decoded, and from the cache.
        dataset = load(str(folder), DataRequest(skip_damaged=True))
        assert len(dataset.examples) == 3
        (notice,) = dataset.notices
        for part in ("3 of 6", "01.png", "03.png", "05.png"):
            assert part in notice


def test_twenty_damaged_files_are_named_at_once(folder):
    half_broken(folder, [f"{number:02d}.png" for number in range(50)], 60)
    with refused("39.png") as caught:
        load(str(folder))
    assert caught.value.given.count(".png") == 20


def test_a_class_of_damaged_images_alone_is_no_class(folder):
    half_broken(folder, ["ant/0.png", "bee/1.png", "cat/2.png", "cat/3.png"], 4)
    dataset = load(str(folder), DataRequest(skip_damaged=True))
    assert dataset.spec.classes == ("ant", "cat")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 1]
    (folder / "ant" / "0.png").write_bytes(b"")
    (folder / "cat" / "2.png").write_bytes(b"")
    with refused("4 images", "ant/0.png"):
        load(str(folder), DataRequest(skip_damaged=True))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_refused_by_name(folder, content):
    (folder / "a.png").write_bytes(content)
    with refused("a.png", allowed=("PNG", "TIFF")):
        load(str(folder))


def test_an_image_bomb_is_refused_by_name(folder):
    # 196 million pixels in 24 kB.
    Image.new("1", (14_000, 14_000)).save(folder / "bomb.png")
    with refused("bomb.png", "196000000", allowed="89,478,485"):
        load(str(folder), DataRequest(size=8))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_that_pillow_only_warns_of_is_refused_too(folder):
    Image.new("1", (10_000, 10_000)).save(folder / "large.png")
    with refused("large.png", "10000x10000", allowed="89,478,485"):
        load(str(folder), DataRequest(size=8))


def test_an_empty_folder_is_refused(folder):
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("")
    with refused(str(folder), "1 .txt (notes.txt)", allowed=".png"):
        load(str(folder))


def test_images_beside_sub_folders_of_images_are_refused(folder):
    (folder / "ant").mkdir()
    plain("L", 1).save(folder / "ant" / "1.png")
    plain("L", 1).save(folder / "loose.png")
    with refused("loose.png", "ant/1.png"):
        load(str(folder))


def test_linked_folders_are_read_once(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    plain("L", 1).save(tmp_path / "elsewhere" / "1.png")
    (folder / "ant").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(folder)
    dataset = load(str(folder))
    assert dataset.spec.classes == ("ant",)
    assert len(dataset.examples) == 1


def test_dangling_links_are_refused_by_name(folder):
    (folder / "gone.png").symlink_to("nowhere.png")
    with refused("gone.png", "nowhere.png", "link"):
        load(str(folder))


def test_pipes_are_not_opened(folder):
    os.mkfifo(folder / "pipe.png")
    plain("L", 1).save(folder / "one.png")
    assert stat.S_ISFIFO((folder / "pipe.png").stat().st_mode)
    assert len(load(str(folder)).examples) == 1


@pytest.fixture
def unprivileged():
    """Runs a test as a user whom permissions bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("locked", [".", "ant"])
def test_a_folder_without_permission_is_refused(folder, locked, request):
    (folder / "ant").mkdir()
    plain("L", 1).save(folder / "ant" / "1.png")
    for parent in [folder, *folder.parents][:-2]:
        if parent.owner() == Path.home().owner() or os.geteuid() == 0:
            parent.chmod(parent.stat().st_mode | 0o711)
    folder.chmod(0o755)
    (folder / locked).chmod(0)
    request.getfixturevalue("unprivileged")
    with refused(str(folder), os.strerror(errno.EACCES)):
        load(str(folder))


def tree(folder, *names):
    """Images whose level is their place in the list."""
    for level, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        plain("L", level).save(folder / name)


def levels(folder, split="train", **options):
    dataset = load(str(folder), DataRequest(split=split, **options))
    labels = None if dataset.labels is None else dataset.labels.tolist()
    return dataset.examples[:, 0, 0, 0].tolist(), dataset.spec.classes, labels


@pytest.mark.parametrize("test", ["test", "val", "Valid", "validation"])
def test_folders_of_splits_are_splits_and_no_classes(folder, test):
    tree(folder, "train/0.png", "train/1.png", f"{test}/2.png")
    assert levels(folder) == ([0, 1], (), None)
    assert levels(folder, "test") == ([2], (), None)
    assert levels(folder / "train", "test") == ([2], (), None)
    with refused("split", "'tset'", allowed="test, train"):
        levels(folder, "tset")
    with refused("data.holdout", "0.5"):
        levels(folder, holdout=0.5)


def test_test_and_val_are_two_splits(folder):
    tree(folder, "train/0.png", "val/1.png", "test/2.png")
    assert [levels(folder, split)[0] for split in ("train", "val", "test")] == [[0], [1], [2]]


def test_classes_of_a_split_have_the_numbers_of_training(folder):
    tree(folder, "train/ant/0.png", "train/bee/1.png", "train/cat/2.png", "test/cat/3.png")
    classes = ("ant", "bee", "cat")
    assert levels(folder) == ([0, 1, 2], classes, [0, 1, 2])
    assert levels(folder, "test") == ([3], classes, [2])
    tree(folder, "test/dog/0.png")
    with refused("'dog'", allowed="ant, bee, cat"):
        levels(folder, "test")


@pytest.mark.parametrize("names", [("train", "car", "bus"), ("test", "val"), ("train", "test1")])
def test_other_names_are_classes(folder, names):
    tree(folder, *(f"{name}/0.png" for name in names))
    assert levels(folder)[1] == tuple(sorted(names))
    with refused("split", "'test'", allowed="train"):
        levels(folder, "test")


def test_folders_of_two_data_sets_are_told_apart(folder):
    tree(folder, "trainA/0.png", "trainB/1.png", "testA/2.png", "testB/3.png")
    with refused("trainA", "testB", allowed=str(folder / "trainB"), remedy="--target"):
        levels(folder)
    assert levels(folder / "trainA") == ([0], (), None)
    assert levels(folder / "trainB", "test") == ([3], (), None)


def test_a_share_is_held_out_by_a_fixed_permutation(folder):
    tree(folder, *(f"{name}/{number}.png" for name in ("ant", "bee") for number in range(5)))
    train, test = (levels(folder, split, holdout=0.3) for split in ("train", "test"))
    assert (len(train[0]), len(test[0])) == (7, 3)
    assert sorted(train[0] + test[0]) == list(range(10))
    assert train[1] == test[1] == ("ant", "bee")
    for found, _, labels in (train, test):
        assert labels == [level // 5 for level in found]
    assert levels(folder, "test", holdout=0.3) == test
    assert levels(folder)[0] == list(range(10))
    assert len(levels(folder, "test", holdout=0.001)[0]) == 1


def test_one_image_cannot_be_held_out(folder):
    tree(folder, "0.png")
    with refused("data.holdout", "0.5", "1 examples"):
        levels(folder, holdout=0.5)


def test_only_the_training_split_exists(folder):
    plain("L", 1).save(folder / "1.png")
    with refused("split", "'test'", allowed="train") as caught:
        load(str(folder), DataRequest(split="test"))
    assert caught.value.allowed == "train"


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def test_postscript_under_another_name_starts_no_program(folder, tmp_path, monkeypatch):
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    (folder / "evil.png").write_bytes(POSTSCRIPT)
    with refused("evil.png", allowed=("PNG", "TIFF")):
        load(str(folder), DataRequest(size=8))
    assert not (tmp_path / "ran").exists()


def test_a_turned_tiff_is_a_set_of_its_upright_shape(folder):
    image = Image.new("L", (6, 4))
    image.paste(255, (0, 0, 2, 2))
    image.save(folder / "one.tiff", tiffinfo={0x0112: 6})
    pixels = only(folder)
    assert pixels.shape == (6, 4, 1)
    assert pixels[:2, 2:].min() == 255
    assert pixels.sum(dtype=int) == 4 * 255


def test_the_folder_may_have_a_name_that_is_not_utf_8(folder):
    place = folder / os.fsdecode(b"caf\xe9")
    place.mkdir()
    plain("L", 1).save(place / "1.png")
    assert load(str(place)).fingerprint == load(str(place)).fingerprint


def test_names_that_cannot_be_printed_are_escaped(folder):
    for name in ("a\nb", "c\x1b[31m", "\udcff"):
        (folder / name).mkdir()
        plain("L", 1).save(folder / name / "1.png")
    assert load(str(folder)).spec.classes == ("a\\nb", "c\\x1b[31m", "\\udcff")
    (folder / "a\nb" / "2\n.png").write_bytes(b"no image")
    with refused("2\\n.png", allowed=("PNG", "TIFF")) as caught:
        load(str(folder))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin"])
def test_links_to_devices_are_passed_over(folder, target):
    (folder / "a.png").symlink_to(target)
    plain("L", 1).save(folder / "one.png")
    assert len(load(str(folder)).examples) == 1


def test_a_link_to_itself_is_passed_over_unless_it_is_called_an_image(folder):
    (folder / "loop").symlink_to("loop")
    plain("L", 1).save(folder / "one.png")
    assert len(load(str(folder)).examples) == 1
    (folder / "loop.png").symlink_to("loop.png")
    with refused("loop.png", os.strerror(errno.ELOOP)):
        load(str(folder))


def test_very_deep_folders_are_refused(folder):
    plain("L", 1).save(folder / "one.png")
    folder.joinpath(*["d"] * 65).mkdir(parents=True)
    with refused(str(folder.joinpath(*["d"] * 65)), allowed="64"):
        load(str(folder))


def test_an_empty_file_is_refused_by_name(folder):
    (folder / "none.gif").write_bytes(b"")
    with refused("none.gif", "0 bytes", allowed=("PNG", "TIFF")):
        load(str(folder))


def test_a_file_that_changes_between_header_and_pixels_is_refused(folder, monkeypatch):
    plain("L", 1, (6, 4)).save(folder / "one.png")
    read = images.pixels_of
    monkeypatch.setattr(images, "pixels_of", lambda *given: read(*given)[:2])
    with refused("one.png", "4x6", "2x6"):
        load(str(folder))


@pytest.mark.parametrize(("needed", "workers"), [(1 << 20, 6), (1 << 30, 2), (1 << 33, 1)])
def test_large_images_are_decoded_by_as_many_threads_as_have_memory(
    folder, monkeypatch, needed, workers
):
    plain("L", 1).save(folder / "one.png")
    asked = []

    class Pool(folder_module.ThreadPoolExecutor):
        def __init__(self, count):
            asked.append(count)
            super().__init__(count)

    monkeypatch.setattr(folder_module, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(images, "memory_of", lambda *given: needed)
    load(str(folder))
    assert asked == [workers]
