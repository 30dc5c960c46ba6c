//! `data check` of images: defects by kind and by name, and differences between the model's view
//! and that of other programs.

use std::path::Path;

use serde_json::{Value, json};

use super::{checked, line, plain, unwrapped, wrong};
use crate::common::{finepruner, succeed};

/// A golden file from the tests of decoding.
pub(crate) fn golden(file: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fp-image/tests/golden_images"
    );
    std::fs::read(Path::new(folder).join(file)).unwrap()
}

fn part(file: &str, percent: usize) -> Vec<u8> {
    let bytes = golden(file);
    bytes[..bytes.len() * percent / 100].to_vec()
}

fn without_end(file: &str, count: usize) -> Vec<u8> {
    let bytes = golden(file);
    bytes[..bytes.len() - count].to_vec()
}

/// A damaged PNG with a wrong checksum, or with a correct checksum over damaged pixel data.
fn damaged_png(is_sum_right: bool) -> Vec<u8> {
    let mut png = golden("png_rgb.png");
    let data = png.windows(4).position(|kind| kind == b"IDAT").unwrap();
    let length = u32::from_be_bytes(png[data - 4..data].try_into().unwrap()) as usize;
    let end = data + 4 + length;
    // An invalid type of deflate block.
    png[data + 6] |= 6;
    if is_sum_right {
        let mut crc = u32::MAX;
        for &byte in &png[data..end] {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        png[end..end + 4].copy_from_slice(&(!crc).to_be_bytes());
    }
    png
}

fn arithmetic() -> Vec<u8> {
    let mut jpeg = golden("jpeg_420.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]);
    jpeg[frame.unwrap() + 1] = 0xc9;
    jpeg
}

/// A progressive JPEG with a proper end, but without its last scan.
fn missing_scan() -> Vec<u8> {
    let jpeg = golden("jpeg_420_progressive.jpg");
    let scans = jpeg.windows(2).enumerate();
    let mut scans = scans.filter(|(_, pair)| *pair == [0xff, 0xda]);
    let (last, _) = scans.next_back().unwrap();
    [&jpeg[..last], b"\xff\xd9"].concat()
}

fn dataset(folder: &Path, images: &[(&str, Vec<u8>)]) -> String {
    let lines: Vec<String> = (1..)
        .zip(images)
        .map(|(id, (name, _))| line(id, name, ""))
        .collect();
    let images: Vec<(&str, &[u8])> = images.iter().map(|(name, b)| (*name, &b[..])).collect();
    plain(folder, &lines, &images)
}

#[test]
fn every_kind_of_broken_image_is_counted_and_named() {
    let text = |text: &str| text.as_bytes().to_vec();
    let ends = "damaged or truncated";
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("whole.jpg", golden("jpeg_420.jpg"), "", ""),
        (
            "whole_progressive.jpg",
            golden("jpeg_420_progressive.jpg"),
            "",
            "",
        ),
        ("whole.png", golden("png_rgb.png"), "", ""),
        ("jpeg_named.png", golden("jpeg_444.jpg"), "", ""),
        ("noending", golden("gif.gif"), "", ""),
        (
            "cut60.jpg",
            part("jpeg_noise.jpg", 60),
            "damaged",
            "JPEG image: the image data ends too early",
        ),
        (
            "cut60p.jpg",
            part("jpeg_422_progressive.jpg", 60),
            "damaged",
            "JPEG image: the ",
        ),
        (
            "cut_eoi.jpg",
            without_end("jpeg_422.jpg", 2),
            "damaged",
            "JPEG image: the file ends before the image does",
        ),
        (
            "cut50.png",
            part("png_rgba.png", 50),
            "damaged",
            "PNG image: the file ends",
        ),
        (
            "cut99.png",
            part("png_grey.png", 99),
            "damaged",
            "PNG image: the file ends",
        ),
        (
            "no_iend.png",
            without_end("png_1bit.png", 12),
            "damaged",
            "PNG image: the file ends",
        ),
        (
            "crc.png",
            damaged_png(false),
            "damaged",
            "the checksum of its chunk IDAT at byte",
        ),
        ("cut.gif", part("gif.gif", 80), "damaged", "GIF image"),
        (
            "cut.webp",
            part("webp_lossy.webp", 80),
            "damaged",
            "WebP image",
        ),
        (
            "cut_lossless.webp",
            without_end("webp_lossless.webp", 9),
            "damaged",
            "WebP image",
        ),
        (
            "cut.bmp",
            without_end("bmp_rgb.bmp", 3),
            "damaged",
            "BMP image: the file ends",
        ),
        (
            "cut.tif",
            part("tiff_lzw.tif", 40),
            "damaged",
            "TIFF image: the file ends",
        ),
        ("empty.jpg", Vec::new(), "empty", "0 bytes"),
        (
            "html.jpg",
            text("<html><body>404</body></html>"),
            "not_an_image",
            "a web page (HTML)",
        ),
        (
            "lfs.png",
            text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "not_an_image",
            "Git LFS",
        ),
        (
            "error.jpg",
            text("{\"error\": \"rate limit\"}"),
            "not_an_image",
            "JSON",
        ),
        (
            "sorry.jpg",
            text("Not Found"),
            "not_an_image",
            "begins with \"Not Found\"",
        ),
        (
            "zip.jpg",
            b"PK\x03\x04\x14\0".to_vec(),
            "not_an_image",
            "a ZIP archive",
        ),
        (
            "gzip.png",
            b"\x1f\x8b\x08\0\0\0".to_vec(),
            "not_an_image",
            "gzip",
        ),
        ("paper.jpg", text("%PDF-1.7\n"), "not_an_image", "PDF"),
        ("zeros.jpg", vec![0; 4096], "not_an_image", "zero bytes"),
        (
            "a.avif",
            b"\0\0\0\x20ftypavif\0\0\0\0".to_vec(),
            "unsupported",
            "AVIF image: this format isn't read; convert it to PNG",
        ),
        (
            "heic.jpg",
            b"\0\0\0\x18ftypheic\0\0\0\0".to_vec(),
            "unsupported",
            "HEIC",
        ),
        (
            "drawing.svg",
            text("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            "unsupported",
            "SVG",
        ),
        ("arithmetic.jpg", arithmetic(), "unsupported", "arithmetic"),
        (
            "scans.jpg",
            missing_scan(),
            "unsupported",
            "without its later scans",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let images: Vec<(&str, Vec<u8>)> = cases
        .iter()
        .map(|(name, bytes, ..)| (*name, bytes.clone()))
        .collect();
    let path = dataset(folder.path(), &images);
    let broken = cases.iter().filter(|(_, _, kind, _)| !kind.is_empty());
    let num_broken = broken.clone().count();
    for look in [&[][..], &["--decode"]] {
        let set = &checked(&[&[path.as_str()], look].concat())["datasets"][0];
        let problems = &set["image_problems"];
        assert_eq!(set["is_complete"], false);
        assert_eq!(problems["total"], num_broken);
        for kind in ["damaged", "empty", "not_an_image", "unsupported"] {
            let expected = broken.clone().filter(|(_, _, of, _)| *of == kind).count();
            assert_eq!(problems["counts"][kind], expected, "{kind} {look:?}");
        }
        let mut found = problems["first"].as_array().unwrap().iter();
        for (place, (name, _, kind, said)) in cases.iter().enumerate() {
            if kind.is_empty() {
                continue;
            }
            let problem = found.next().unwrap();
            let image = problem["image"].as_str().unwrap();
            assert!(image.ends_with(name), "{image} is not {name}");
            assert_eq!(problem["kind"], *kind, "{name}");
            assert_eq!(problem["question"], (place + 1).to_string());
            let message = problem["message"].as_str().unwrap();
            assert!(message.contains(said), "{name}: {message}");
        }
    }
    // The first twenty are named, and in any case the first of each kind.
    let flat = unwrapped(&wrong(&[&path]));
    for part in [
        format!(
            "{num_broken} images can't be used (1 empty, 8 not an image, 12 {ends}, 5 in an unsupported format)"
        ),
        "cut60.jpg: damaged JPEG image: the image data ends too early".to_owned(),
        "a.avif: unsupported AVIF image".to_owned(),
        "(question \"27\")".to_owned(),
        "and 5 more (--all lists all)".to_owned(),
    ] {
        assert!(flat.contains(&part), "{part}: {flat}");
    }
}

/// Damage inside compressed data with a valid checksum is only found by decompressing.
#[test]
fn damage_inside_of_pixels_takes_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let path = dataset(folder.path(), &[("a.png", damaged_png(true))]);
    succeed(&["data", "check", &path]);
    let set = &checked(&[&path, "--decode"])["datasets"][0];
    assert_eq!(set["image_problems"]["counts"], json!({"damaged": 1}));
}

#[test]
fn what_a_model_sees_otherwise_is_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let copy = golden("jpeg_420.jpg");
    let images = [
        ("a.jpg", copy.clone()),
        ("turned.jpg", golden("jpeg_turned.jpg")),
        ("grey.png", golden("png_16bit_grey.png")),
        ("grey_alpha.png", golden("png_16bit_grey_alpha.png")),
        ("rgb16.png", golden("png_16bit_rgb.png")),
        ("animated.png", golden("png_animated.png")),
        ("animated.gif", golden("gif_animated.gif")),
        ("animated.webp", golden("webp_animated.webp")),
        ("palette.png", golden("png_palette_transparent.png")),
        ("cut_animation.gif", without_end("gif_animated.gif", 3)),
        ("d.jpg", copy.clone()),
        ("e.jpg", copy),
    ];
    let path = dataset(folder.path(), &images);
    for look in [&[][..], &["--decode"]] {
        let args = [&["data", "check", &path, "--json"], look].concat();
        let found: Value = serde_json::from_str(&succeed(&args)).unwrap();
        let set = &found["datasets"][0];
        assert_eq!(set["is_complete"], true);
        let expected = json!({
            "turned": 1, "grey16": 1, "animated": 3, "palette_alpha": 1, "irregular": 1,
            "copy": 2,
        });
        assert_eq!(set["image_notes"]["counts"], expected);
        assert_eq!(set["image_notes"]["total"], 9);
        let first = set["image_notes"]["first"].as_array().unwrap();
        let copies: Vec<&Value> = first.iter().filter(|note| note["kind"] == "copy").collect();
        assert_eq!(copies[0]["message"], "the same as a.jpg");
        assert_eq!(copies[0]["question"], "11");
    }
    let text = succeed(&["data", "check", &path]);
    let flat = unwrapped(&text);
    for part in [
        "1 image with an EXIF orientation, which is ignored",
        "turned.jpg: orientation 6 (question \"2\")",
        "1 image in 16-bit grey: every sample above 255 becomes white",
        "grey.png: 16-bit grey (question \"3\")",
        "3 images with several frames or pages: the model sees the first",
        "animated.png: 2 frames or pages (question \"6\") and 2 more (--all lists all)",
        "1 image with transparent colours in a palette",
        "2 images with the same bytes as another file d.jpg: the same as a.jpg",
    ] {
        assert!(flat.contains(part), "{part}: {text}");
    }
    let all = unwrapped(&succeed(&["data", "check", &path, "--all"]));
    assert!(all.contains("e.jpg: the same as a.jpg") && !all.contains("--all lists"));
}

#[test]
fn generate_says_what_it_sees_otherwise() {
    let model = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fp-model/tests/golden/model"
    );
    let folder = tempfile::tempdir().unwrap();
    let answer = |file: &str, flags: &[&str]| {
        let path = folder.path().join(file);
        std::fs::write(&path, golden(file)).unwrap();
        let image = path.display().to_string();
        let args = ["generate", "--model", model, "--image", &image];
        let rest = ["--prompt", "How many?", "--max-new-tokens", "1"];
        let output = finepruner(&[&args[..], &rest, flags].concat());
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        (output.stdout, unwrapped(&output.stderr))
    };
    for (file, said) in [
        (
            "png_16bit_grey.png",
            "it is 16-bit grey, of which every sample above 255 becomes white",
        ),
        ("jpeg_turned.jpg", "its EXIF orientation (6) is ignored"),
        ("gif_animated.gif", "it has 2 frames or pages"),
    ] {
        let (stdout, stderr) = answer(file, &["--json"]);
        assert_eq!(stderr.matches("warning:").count(), 1, "{stderr}");
        assert!(stderr.contains(said) && stderr.contains(file), "{stderr}");
        let json: Value = serde_json::from_str(&stdout).unwrap();
        let warning = json["notes"][0].as_str().unwrap();
        assert!(warning.contains(said), "{warning}");
    }
    for file in ["jpeg_420.jpg", "png_16bit_grey_alpha.png"] {
        let (stdout, stderr) = answer(file, &["--json"]);
        assert_eq!(stderr, "");
        let json: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(json["notes"], json!([]));
    }
}

/// Decoded pixels, independent of how a browser would show the file.
#[test]
fn a_sheet_shows_what_the_model_sees() {
    let folder = tempfile::tempdir().unwrap();
    let images = [
        ("turned.jpg", golden("jpeg_turned.jpg")),
        ("grey.png", golden("png_16bit_grey.png")),
        ("animated.gif", golden("gif_animated.gif")),
    ];
    let path = dataset(&folder.path().join("set"), &images);
    let sheet = folder.path().join("sheet.svg").display().to_string();
    succeed(&["data", "sheet", &path, "--output", &sheet]);
    let svg = std::fs::read_to_string(&sheet).unwrap();
    assert_eq!(svg.matches("data:image/png;base64,").count(), images.len());
    assert_eq!(svg.matches("data:image/").count(), images.len());
}
