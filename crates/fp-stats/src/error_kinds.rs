//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use self::error_check::check;
use crate::StatsError;

#[test]
fn statistics() {
    check(&every_variant!(StatsError:
        Empty { what: "values" },
        LengthMismatch { what: "values", expected: 2, got: 1 },
        NotFinite { what: "values", index: 1, value: f64::NAN },
        OutOfRange { name: "confidence", value: 2.0, expected: "less" },
        TooFewClusters { got: 1, needed: 2 },
        UndefinedStatistic {},
        UndefinedDraws { undefined: 9, draws: 10 },
    ));
}
