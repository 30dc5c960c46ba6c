//! Unsupported files in which attention is often saved, and how to convert them.

use std::path::Path;

/// First bytes of a zip archive, which PyTorch and `numpy.savez` write.
const ZIP: &[u8] = b"PK\x03\x04";
/// Extensions of PyTorch's files.
const TORCH_ENDINGS: [&str; 4] = ["pt", "pth", "bin", "ckpt"];

/// Advice for a file that can't be read directly; `None` if there is none. `first` are its first
/// bytes.
pub(super) fn advice(path: &Path, first: &[u8]) -> Option<String> {
    // The beginning of a safetensors header's JSON identifies the format, whatever the file's name.
    let is_safetensors = first.get(8) == Some(&b'{') && !first.starts_with(ZIP);
    if is_safetensors || super::npy::is_npy(first) {
        return None;
    }
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let is = |name: &str| ending.eq_ignore_ascii_case(name);
    if is("npz") {
        return Some(
            "it is an archive of arrays; save the array by itself with numpy.save, as .npy"
                .to_owned(),
        );
    }
    // Pickle's opcode for its protocol, 2 or later.
    let is_pickle = first.first() == Some(&0x80) && first.get(1).is_some_and(|&v| v <= 5);
    let is_torch = TORCH_ENDINGS.iter().any(|name| is(name));
    (is_torch || is_pickle || first.starts_with(ZIP)).then(|| conversion(path))
}

/// A line of Python that converts a tensor, a tuple of layers (`output_attentions=True`, named `0`,
/// `1`, …) or a dictionary to a safetensors file.
fn conversion(path: &Path) -> String {
    let to = path.with_extension("safetensors");
    format!(
        "it is a pickle as PyTorch writes them, which can run any code when loaded and is not read here; convert it to safetensors with\n  \
         python3 -c \"import torch; from safetensors.torch import save_file; x = torch.load({}, map_location='cpu'); \
         x = x if isinstance(x, dict) else dict(enumerate(x)) if isinstance(x, (list, tuple)) else {{'attention': x}}; \
         save_file({{str(k): v.detach().clone().contiguous() for k, v in x.items()}}, {})\"",
        python_text(path),
        python_text(&to)
    )
}

/// A path as a single-quoted Python string that is safe inside double quotes of a shell.
fn python_text(path: &Path) -> String {
    let mut text = String::from("'");
    for letter in path.display().to_string().chars() {
        match letter {
            '\'' | '"' | '\\' | '$' | '`' | '!' => {
                // Escaped by number, so that neither shell nor Python interprets it.
                text += &format!("\\x{:02x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_content_and_by_name() {
        let advise = |name: &str, first: &[u8]| advice(Path::new(name), first);
        let safetensors = b"\x80\x02\0\0\0\0\0\0{\"a\":";
        assert_eq!(advise("a.safetensors", safetensors), None);
        assert_eq!(advise("a.bin", safetensors), None);
        assert_eq!(advise("a.bin", b"\x93NUMPY\x01\0"), None);
        assert_eq!(advise("a.safetensors", b"abc"), None);
        for (name, first) in [
            ("a.PT", &b"abc"[..]),
            ("a.pth", b""),
            ("a", b"PK\x03\x04\0\0\0\0{"),
            ("a", b"\x80\x02ccollections"),
        ] {
            let text = advise(name, first).unwrap();
            assert!(text.contains("torch.load('a"), "{text}");
        }
        assert!(
            advise("a.npz", b"PK\x03\x04")
                .unwrap()
                .contains("numpy.save")
        );
    }

    #[test]
    fn odd_paths_stay_what_they_are() {
        assert_eq!(python_text(Path::new("a b.pt")), "'a b.pt'");
        assert_eq!(python_text(Path::new("it's $x")), "'it\\x27s \\x24x'");
    }
}
