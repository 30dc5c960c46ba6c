//! Records of selected samples of a run, read on demand.

use fp_eval::study::{Records, SampleRecord};

use super::error::ReportError;
use super::run::Run;

/// The records of a few samples, given by index, in the given order.
pub(crate) fn records_of(run: &Run, indices: &[usize]) -> Result<Vec<SampleRecord>, ReportError> {
    let records = Records::open(&run.folder)?;
    let mut records = records.in_order(&run.spec, indices)?;
    let mut all = Vec::new();
    loop {
        let some = records.next_records()?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

/// Passes the records of samples of two runs to `visit` in pairs. Both lists of indices have the
/// same length, and their samples were in the runs when those were read.
pub(crate) fn for_each_pair(
    first: &Run,
    of_first: &[usize],
    second: &Run,
    of_second: &[usize],
    mut visit: impl FnMut(&SampleRecord, &SampleRecord),
) -> Result<(), ReportError> {
    let stored = [
        Records::open(&first.folder)?,
        Records::open(&second.folder)?,
    ];
    let mut of_first = stored[0].in_order(&first.spec, of_first)?;
    let mut of_second = stored[1].in_order(&second.spec, of_second)?;
    loop {
        let (a, b) = (of_first.next_records()?, of_second.next_records()?);
        if a.is_empty() || b.is_empty() {
            return Ok(());
        }
        a.iter().zip(&b).for_each(|(a, b)| visit(a, b));
    }
}
