//! A guard around third-party decoders.
//!
//! A decoder may panic on an unusual file. That is an error of this file and must not end a
//! study: the panic is caught, nothing is printed, and the caller learns which decoder panicked
//! and its message.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside a guarded call.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A decoder that panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {decoder} panicked on this content ({message})")]
pub struct DecoderPanic {
    /// Name of the decoder, such as `TIFF decoder`.
    pub decoder: &'static str,
    /// Its message, in one line.
    pub message: String,
}

/// Runs `call` and turns a panic in it into an error, without output.
///
/// Anything that `call` was changing when it panicked must be discarded: do not use such a reader
/// again. Panics in other threads that `call` starts are not caught.
///
/// # Errors
/// [`DecoderPanic`] if `call` panics.
///
/// ```
/// let first = |bytes: &[u8]| bytes[0];
/// assert_eq!(fp_image::guarded("test decoder", || first(b"a")), Ok(b'a'));
/// assert!(fp_image::guarded("test decoder", || first(b"")).is_err());
/// ```
pub fn guarded<T>(decoder: &'static str, call: impl FnOnce() -> T) -> Result<T, DecoderPanic> {
    keep_quiet_inside();
    let before = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(before);
    result.map_err(|payload| {
        let text = match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => match payload.downcast::<&'static str>() {
                Ok(text) => (*text).to_owned(),
                Err(_) => "it panicked".to_owned(),
            },
        };
        DecoderPanic {
            decoder,
            message: one_line(&text),
        }
    })
}

/// A decoder's message may quote the file: shortens it to one line.
fn one_line(text: &str) -> String {
    const MOST: usize = 160;
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().filter(|c| !c.is_control()).collect();
    if let Some((end, _)) = shown.char_indices().nth(MOST) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Wraps the present panic hook so that it prints nothing inside a guarded call.
fn keep_quiet_inside() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        let hook = move |info: &PanicHookInfo<'_>| {
            // A thread that is ending no longer has a flag; nothing is guarded there.
            if !IS_GUARDED.try_with(Cell::get).unwrap_or(false) {
                usual(info);
            }
        };
        set_hook(Box::new(hook));
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn panics_become_errors_with_what_they_say() {
        let empty: Vec<u8> = Vec::new();
        let index = guarded("A decoder", || empty[3]).unwrap_err();
        assert_eq!(index.decoder, "A decoder");
        assert!(index.message.contains("len is 0"), "{index}");
        let text = guarded("B", || panic!("two\nlines")).unwrap_err();
        assert_eq!(text.to_string(), "the B panicked on this content (two)");
        let long = guarded("C", || panic!("{}\u{1b}[31m", "é".repeat(900))).unwrap_err();
        assert_eq!(long.message.chars().count(), 161);
        let other = guarded("D", || std::panic::panic_any(7_u8)).unwrap_err();
        assert_eq!(other.message, "it panicked");
        let escape = guarded("E", || panic!("\u{1b}[2Jx")).unwrap_err();
        assert_eq!(escape.message, "[2Jx");
        assert_eq!(guarded("F", || 5), Ok(5));
    }

    /// Nested guards, and code after a panic, find the flag restored.
    #[test]
    fn the_flag_is_put_back() {
        let inner = guarded("outer", || {
            let inner = guarded("inner", || panic!("one"));
            assert!(IS_GUARDED.get());
            inner.unwrap_err()
        });
        assert_eq!(inner.unwrap().decoder, "inner");
        assert!(!IS_GUARDED.get());
        let outer = guarded("outer", || {
            guarded("inner", || ()).unwrap();
            panic!("after");
        });
        assert_eq!(outer.unwrap_err().decoder, "outer");
        assert!(!IS_GUARDED.get());
    }

    /// The previous hook still handles panics outside of any guard.
    #[test]
    fn other_panics_are_told_as_ever() {
        // The first guard of the process wraps the present hook.
        guarded("any", || ()).unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let present = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() && info.to_string().contains("of this test") {
                count.fetch_add(1, Ordering::Relaxed);
            } else {
                present(info);
            }
        }));
        assert!(guarded("any", || panic!("of this test")).is_err());
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(catch_unwind(|| panic!("of this test")).is_err());
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
