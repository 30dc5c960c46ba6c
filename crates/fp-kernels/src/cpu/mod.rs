//! The CPU operations.
//!
//! | operation | input | output |
//! |---|---|---|
//! | [`head_statistics`] | attention `[rows, N]` | [`crate::HeadStatistics`] per row |
//! | [`normalize_rows`] | attention `[rows, N]` | distributions `[rows, N]` |
//! | [`combine_rows`] | attention `[H, Q, N]`, rows and weights | attention `[H, N]` |
//! | [`row_totals`] | attention `[H, Q, N]` | attention to the image per query row `[Q]` |
//! | [`gram`] | distributions `[rows, N]` | products of each pair `[rows, rows]` |
//! | [`token_importance`] | attention `[H, N]`, heads | mean over the heads `[N]` |
//! | [`top_r`] | importance `[N]` | the R largest, ascending by index |

mod combine;
mod gram;
mod head_statistics;
mod math;
mod normalize;
mod order_statistics;
pub mod reference;
mod row_statistics;
mod sort;
mod token_importance;
mod topk;

pub use combine::{combine_rows, row_totals};
pub use gram::gram;
pub use head_statistics::{head_statistics, head_statistics_on};
pub use normalize::normalize_rows;
pub use token_importance::token_importance;
pub use topk::{Cut, TopR, top_r};
