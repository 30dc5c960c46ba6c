//! Defects of answer files: counted and named in warnings, or refused with the file's name. They
//! never change a score silently.

mod joins;
mod lines;
mod lmms_eval;
mod tables;
mod undefined;
mod vlmevalkit;
mod without_images;
#[cfg(feature = "xlsx")]
mod workbooks;

fn utf_16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}
