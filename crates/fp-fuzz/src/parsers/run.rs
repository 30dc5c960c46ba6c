//! Run folders: reports, merges, and measurements.

use std::hint::black_box;

use fp_eval::efficiency;
use fp_eval::study::{
    StaticHeads, StudyError, merge as merge_runs, read_timings, selections_of_run,
};
use fp_report::Run;
use fp_scoring::error_text;

use super::Input;

pub(super) fn report(input: &Input<'_>) -> bool {
    let run = match Run::read(input.folder) {
        Ok(run) => run,
        Err(error) => {
            black_box(error_text(&error));
            return false;
        }
    };
    black_box(read_timings(input.folder).ok());
    let streamed = run.stream(|records| {
        for cell in &run.spec.grid.cells {
            black_box(selections_of_run(&run.spec, &records, &cell.id).ok());
        }
        Ok::<_, StudyError>(())
    });
    black_box(streamed.ok());
    // More draws than a study needs take long, as expected.
    if run.spec.config.statistics.num_draws > 2000 {
        return true;
    }
    match fp_report::write(input.folder) {
        Ok(_) => true,
        Err(error) => {
            black_box(error_text(&error));
            false
        }
    }
}

pub(super) fn merge(input: &Input<'_>) -> bool {
    black_box(StaticHeads::read(input.folder).ok());
    match merge_runs(input.output, &[input.folder.to_owned()]) {
        Ok(_) => true,
        Err(error) => {
            black_box(error_text(&error));
            false
        }
    }
}

pub(super) fn efficiency(input: &Input<'_>) -> bool {
    match efficiency::read(input.file) {
        Ok(Some(measured)) => {
            black_box(efficiency::markdown(&measured));
            black_box(efficiency::describe(&measured));
            black_box(efficiency::overview(&measured));
            let report = fp_report::write(input.folder);
            report.is_ok()
        }
        Ok(None) => false,
        Err(error) => {
            black_box(error_text(&error));
            false
        }
    }
}
