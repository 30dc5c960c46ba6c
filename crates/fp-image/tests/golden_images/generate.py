"""Writes the image files of this folder and expected.json: what Pillow and transformers make of them.

    pip install "pillow<13" numpy "torch==2.4.1" "transformers==4.46.3"
    python generate.py

Pillow 13 resizes tall images in the other order of passes, which moves single samples by some
steps; the releases before it agree with the model's golden cases.
"""

import io
import json
import struct
import types
import zlib
from pathlib import Path

import numpy as np
import PIL
import torch
import transformers
from PIL import Image
from transformers import CLIPImageProcessor
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_next import image_processing_llava_next as next_processing
from transformers.models.llava_next.modeling_llava_next import LlavaNextForConditionalGeneration

assert int(PIL.__version__.split(".")[0]) < 13, "see the comment above"
HERE = Path(__file__).parent
BICUBIC = 3


def pixels(width, height, seed):
    """Noise for even seeds, black and white for odd ones; the tests make the same."""
    i = np.arange(width * height * 3, dtype=np.uint64) + np.uint64(seed * 7919)
    x = (i * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
    x = ((x ^ (x >> np.uint64(15))) * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    v = (x >> np.uint64(24)).astype(np.uint8)
    if seed % 2:
        v = np.where(v > 127, 255, 0).astype(np.uint8)
    return v.reshape(height, width, 3)


def smooth(width, height, seed):
    """Something like a photograph, so that the files stay small."""
    small = Image.fromarray(pixels(5, 4, 2 * seed)).resize((width, height), BICUBIC)
    return Image.fromarray((np.asarray(small) * 0.9 + pixels(width, height, 2 * seed + 2) * 0.1).astype(np.uint8))


def patch_frame(data, width, height, sampling):
    """Other sampling factors for a JPEG with as many blocks in a unit, and as many units."""
    data = bytearray(data)
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    data[at + 11] = sampling
    return bytes(data)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png16(colour_type, channels, transparent=None):
    width, height = 9, 7
    samples = pixels(2 * channels * width, height, 4)[:, :, 0]
    rows = b"".join(b"\0" + row.tobytes() for row in samples)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    extra = chunk(b"tRNS", transparent) if transparent else b""
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + body


def gif_on_screen(data, width, height, left, top, transparent=None):
    """Moves the one frame of a GIF on a screen of another size."""
    data = bytearray(data)
    data[6:10] = struct.pack("<HH", width, height)
    at = 13 + 3 * (2 << (data[10] & 7))
    while data[at] != 0x2C:
        at += 1
    data[at + 1 : at + 5] = struct.pack("<HH", left, top)
    if transparent is not None:
        data[at:at] = bytes([0x21, 0xF9, 4, 1, 0, 0, transparent, 0])
    return bytes(data)


def files():
    image = smooth(37, 29, 1)
    other = smooth(37, 29, 2)
    grey = image.convert("L")
    alpha = image.copy()
    alpha.putalpha(other.convert("L"))
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)

    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        for kind, progressive in (("", False), ("_progressive", True)):
            yield f"jpeg_{name}{kind}.jpg", saved(image, "JPEG", quality=80, subsampling=subsampling, progressive=progressive)
    yield "jpeg_restart.jpg", saved(image, "JPEG", restart_marker_blocks=2)
    yield "jpeg_restart_progressive.jpg", saved(image, "JPEG", restart_marker_blocks=1, progressive=True)
    yield "jpeg_noise.jpg", saved(Image.fromarray(pixels(21, 19, 6)), "JPEG", quality=98)
    yield "jpeg_coarse.jpg", saved(Image.fromarray(pixels(21, 19, 7)), "JPEG", quality=3)
    yield "jpeg_grey.jpg", saved(grey, "JPEG")
    yield "jpeg_rgb.jpg", saved(image, "JPEG", keep_rgb=True)
    cmyk = saved(image.convert("CMYK"), "JPEG", quality=90)
    yield "jpeg_cmyk.jpg", cmyk
    at = cmyk.index(b"Adobe") + 11
    yield "jpeg_ycck.jpg", cmyk[:at] + b"\2" + cmyk[at + 1 :]
    wide = smooth(48, 32, 3)  # 3 x 4 units of 16 x 8, 3 x 2 of 16 x 16
    yield "jpeg_440.jpg", patch_frame(saved(wide, "JPEG", subsampling=1), 30, 42, 0x12)
    yield "jpeg_411.jpg", patch_frame(saved(wide, "JPEG", subsampling=2), 93, 15, 0x41)
    for width, height in ((1, 1), (2, 3), (3, 2), (4, 17), (5, 1)):
        yield f"jpeg_{width}x{height}.jpg", saved(smooth(width, height, 4), "JPEG", subsampling=2)
    exif = Image.Exif()
    exif[274] = 6
    yield "jpeg_turned.jpg", saved(image, "JPEG", exif=exif)

    yield "png_rgb.png", saved(image, "PNG")
    yield "png_rgba.png", saved(alpha, "PNG")
    yield "png_grey.png", saved(grey, "PNG")
    yield "png_grey_alpha.png", saved(alpha.convert("LA"), "PNG")
    yield "png_1bit.png", saved(image.convert("1"), "PNG")
    yield "png_palette.png", saved(palette, "PNG")
    yield "png_palette_2bit.png", saved(image.convert("P", palette=Image.Palette.ADAPTIVE, colors=4), "PNG", bits=2)
    yield "png_palette_transparent.png", saved(palette, "PNG", transparency=bytes(range(0, 160, 10)))
    yield "png_animated.png", saved(image, "PNG", save_all=True, append_images=[other])
    yield "png_1x1.png", saved(smooth(1, 1, 5), "PNG")
    for name, colour_type, channels in (("grey", 0, 1), ("rgb", 2, 3), ("grey_alpha", 4, 2), ("rgba", 6, 4)):
        yield f"png_16bit_{name}.png", png16(colour_type, channels)
    yield "png_16bit_grey_transparent.png", png16(0, 1, b"\0\7")

    gif = saved(palette, "GIF")
    yield "gif.gif", gif
    yield "gif_transparent.gif", saved(palette, "GIF", transparency=3)
    yield "gif_animated.gif", saved(image, "GIF", save_all=True, append_images=[other])
    yield "gif_on_larger_screen.gif", gif_on_screen(gif, 60, 50, 7, 9)
    yield "gif_on_larger_screen_transparent.gif", gif_on_screen(gif, 60, 50, 7, 9, 5)
    yield "gif_beyond_screen.gif", gif_on_screen(gif, 30, 20, 3, 2)

    yield "webp_lossy.webp", saved(image, "WEBP", quality=80)
    yield "webp_lossless.webp", saved(image, "WEBP", lossless=True)
    yield "webp_alpha.webp", saved(alpha, "WEBP", quality=80)
    yield "webp_animated.webp", saved(image, "WEBP", save_all=True, append_images=[other])
    yield "webp_animated_alpha.webp", saved(alpha, "WEBP", save_all=True, append_images=[other], lossless=True)

    yield "bmp_rgb.bmp", saved(image, "BMP")
    yield "bmp_palette.bmp", saved(palette, "BMP")
    yield "bmp_1bit.bmp", saved(image.convert("1"), "BMP")
    yield "tiff_lzw.tif", saved(image, "TIFF", compression="tiff_lzw")
    yield "tiff_turned.tif", saved(image, "TIFF", tiffinfo={274: 6}, compression="tiff_lzw")
    yield "tiff_cmyk.tif", saved(image.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "tiff_1bit.tif", saved(image.convert("1"), "TIFF")


def digest(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def decode_cases():
    for name, data in files():
        (HERE / name).write_bytes(data)
        rgb = Image.open(HERE / name).convert("RGB")
        yield {"file": name, "width": rgb.width, "height": rgb.height, "digest": digest(np.asarray(rgb))}


def resize_cases():
    rng = np.random.default_rng(1)
    sizes = [(500, 333, 504, 336), (240, 420, 336, 588), (336, 336, 336, 336), (1, 1, 9, 5), (640, 480, 448, 336),
             (1000, 7, 33, 3), (7, 1000, 3, 33), (50, 60, 50, 33), (50, 60, 33, 60)]
    sizes += [tuple(int(v) for v in np.exp(rng.uniform(0, np.log(250), 4))) for _ in range(51)]
    for i, (width, height, to_width, to_height) in enumerate(sizes):
        filter = BICUBIC if i < 30 else i % 6
        out = Image.fromarray(pixels(width, height, i)).resize((to_width, to_height), filter)
        yield {"width": width, "height": height, "seed": i, "to_width": to_width, "to_height": to_height,
               "filter": filter, "digest": digest(np.asarray(out))}


CLIP = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
CONFIGS = [
    CLIP,
    {"size": 30, "crop_size": {"height": 41, "width": 24}},
    {"size": {"height": 20, "width": 31}, "do_center_crop": False, "resample": 2},
    {"size": 40, "crop_size": 20, "do_rescale": False, "do_normalize": False},
    {"size": 40, "crop_size": 20, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2], "rescale_factor": 0.01},
]


def padded(image, mean):
    """The original project's padding to a square."""
    width, height = image.size
    side = max(width, height)
    out = Image.new("RGB", (side, side), tuple(int(m * 255) for m in mean))
    out.paste(image, ((side - width) // 2, (side - height) // 2))
    return out


def preprocess_cases():
    sizes = [(1, 1), (50, 30), (30, 51), (64, 64), (3, 200), (200, 3), (101, 67)]
    for c, config in enumerate(CONFIGS):
        processor = CLIPImageProcessor(**config)
        for i, (width, height) in enumerate(sizes if c else sizes[:4]):
            for aspect in ("pad", "crop"):
                image = Image.fromarray(pixels(width, height, i))
                if aspect == "pad":
                    image = padded(image, processor.image_mean)
                values = processor(image, return_tensors="np", input_data_format="channels_last")["pixel_values"][0]
                yield {"config": json.dumps(config), "width": width, "height": height, "seed": i, "aspect": aspect,
                       "shape": list(values.shape), "digest": digest(values.astype(np.float32))}


def pad_with_remainder(self, image, target_resolution, input_data_format):
    """As the original project and later releases do: this one leaves a tile one pixel short where
    the padding is odd."""
    height, width = next_processing._get_patch_output_size(image, target_resolution, input_data_format)
    y, rest_y = divmod(target_resolution[0] - height, 2)
    x, rest_x = divmod(target_resolution[1] - width, 2)
    return self.pad(image, padding=((y, y + rest_y), (x, x + rest_x)))


PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]


def anyres_cases():
    next_processing.LlavaNextImageProcessor._pad_for_patching = pad_with_remainder
    pinpoints = [[v // 14 for v in pair] for pair in PINPOINTS]
    config = {"image_processor_type": "LlavaNextImageProcessor", "size": 24, "crop_size": 24,
              "image_grid_pinpoints": pinpoints}
    processor = next_processing.LlavaNextImageProcessor(**{k: v for k, v in config.items() if k != "image_processor_type"})
    rng = np.random.default_rng(2)
    sizes = [(1, 1), (75, 75), (24, 48), (13, 110), (110, 13), (100, 67)]
    sizes += [tuple(int(v) for v in np.exp(rng.uniform(1, np.log(200), 2))) for _ in range(14)]
    for i, (width, height) in enumerate(sizes):
        image = Image.fromarray(pixels(width, height, i))
        values = processor(image, return_tensors="np", input_data_format="channels_last")["pixel_values"][0]
        yield {"config": json.dumps(config), "width": width, "height": height, "seed": i,
               "shape": list(values.shape), "digest": digest(values.astype(np.float32))}


def packing_cases():
    rng = np.random.default_rng(8)
    wide = [[336 * a, 336 * b] for a in range(1, 5) for b in range(1, 5) if a * b <= 6]
    sizes = [(336, 336), (100, 100), (75, 75), (480, 640), (640, 480), (427, 640), (333, 500), (1, 1), (1080, 1920),
             (2000, 3000), (10, 300), (300, 10), (337, 336), (671, 1009), (20000, 300), (5, 4000)]
    sizes += [tuple(int(v) for v in np.exp(rng.uniform(np.log(8), np.log(2500), 2))) for _ in range(34)]
    for pinpoints, side, count in ((PINPOINTS, 24, 50), (wide, 24, 30), (PINPOINTS, 7, 20)):
        for height, width in sizes[:count]:
            best = select_best_resolution((height, width), pinpoints)
            tiles = (best[0] // 336) * (best[1] // 336) + 1
            model = types.SimpleNamespace(config=types.SimpleNamespace(
                vision_config=types.SimpleNamespace(image_size=336, patch_size=336 // side),
                image_grid_pinpoints=pinpoints))
            # Each feature is its own number, so the packed features are the numbers to gather.
            rows = tiles * side * side
            features = torch.arange(rows, dtype=torch.float64).view(tiles, side * side, 1)
            packed, _ = LlavaNextForConditionalGeneration.pack_image_features(
                model, [features], torch.tensor([[height, width]]), "default", torch.tensor([float(rows)]).double())
            yield {"height": height, "width": width, "pinpoints": pinpoints, "patches_per_side": side,
                   "resolution": list(best), "num_image_tokens": len(packed),
                   "digest": digest(packed[:, 0].numpy().astype("<u4"))}


made_with = {"pillow": PIL.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
sections = {"decode": decode_cases, "resize": resize_cases, "preprocess": preprocess_cases,
            "anyres": anyres_cases, "packing": packing_cases}
with open(HERE / "expected.json", "w") as out:
    out.write('{\n"made_with": ' + json.dumps(made_with))
    for name, cases in sections.items():
        lines = [json.dumps(case, separators=(",", ":")) for case in cases()]
        out.write(f',\n"{name}": [\n' + ",\n".join(lines) + "\n]")
    out.write("\n}\n")
