//! Checks of all error types of every crate, whose tests include this file: no text is repeated,
//! and no cause is lost.

use std::error::Error;

/// The innermost cause in every test error that wraps one.
pub(crate) const CAUSE: &str = "what began it all";

/// Lists every variant of an error type, with an expression for each of its fields (`0` for an
/// unnamed one). Doesn't compile while a variant is missing.
macro_rules! every_variant {
    ($type:ident: $($variant:ident { $($field:tt: $value:expr),* $(,)? }),+ $(,)?) => {{
        fn is_known(error: &$type) {
            match error {
                $($type::$variant { .. } => {})+
            }
        }
        let every = vec![$($type::$variant { $($field: $value),* }),+];
        every.iter().for_each(is_known);
        every
    }};
}

/// Asserts that no error in the chain contains its source's text, and that a wrapped error is
/// reached through its sources exactly once.
pub(crate) fn check<E: Error>(every: &[E]) {
    for error in every {
        let mut causes = Vec::new();
        let mut next = error.source();
        while let Some(source) = next {
            causes.push(source.to_string());
            next = source.source();
        }
        // Some errors of other libraries have the same text as their source.
        causes.dedup();
        let texts = [vec![error.to_string()], causes].concat();
        for pair in texts.windows(2) {
            assert!(!pair[0].contains(&pair[1]), "told twice: {texts:?}");
        }
        let is_wrapping = format!("{error:?}").contains(CAUSE);
        let count = texts.iter().filter(|text| text.contains(CAUSE)).count();
        assert_eq!(count, usize::from(is_wrapping), "{error:?}: {texts:?}");
        assert!(texts.iter().all(|text| !text.is_empty()), "{texts:?}");
    }
}
