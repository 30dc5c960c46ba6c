//! What holds of every kind of error of every crate, whose tests include this file: a text
//! is told once, and no cause is lost.

use std::error::Error;

/// What every error wraps in the end that wraps one at all.
pub(crate) const CAUSE: &str = "what began it all";

/// Every variant of an error type, with an expression for each of its fields (`0` for an
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

/// Holds that no link of an error's chain has the text of its source in its own, and that
/// what an error wraps is reached by its sources, once.
pub(crate) fn check<E: Error>(every: &[E]) {
    for error in every {
        let mut texts = vec![error.to_string()];
        let mut next = error.source();
        while let Some(source) = next {
            texts.push(source.to_string());
            next = source.source();
        }
        for pair in texts.windows(2) {
            assert!(!pair[0].contains(&pair[1]), "told twice: {texts:?}");
        }
        let is_wrapping = format!("{error:?}").contains(CAUSE);
        let count = texts.iter().filter(|text| text.contains(CAUSE)).count();
        assert_eq!(count, usize::from(is_wrapping), "{error:?}: {texts:?}");
        assert!(texts.iter().all(|text| !text.is_empty()), "{texts:?}");
    }
}
