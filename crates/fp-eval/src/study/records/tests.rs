//! Records that are truncated, damaged and resumed.

use std::fs;
use std::path::Path;

use super::block::HEADER;
use super::*;
use crate::study::files::write_whole;

/// A sample in its stored form; its record isn't parsed in these tests.
fn stored(index: usize) -> Stored {
    let kept: Vec<String> = (0..20).map(|at| (3 * at + index % 7).to_string()).collect();
    let content = format!(
        "{{\"index\":{index},\"kept\":[{}],\"gap\":0.{}}}",
        kept.join(","),
        (index + 1) * 7919
    );
    Stored {
        index,
        content: content.into_bytes(),
    }
}

/// The order of running for images whose questions are far apart in the dataset.
fn order(len: usize) -> Vec<usize> {
    (0..len)
        .map(|at| at / 2 + (at % 2) * len.div_ceil(2))
        .collect()
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap_or_default()
}

/// Records the missing samples of `order`, a few at a time, and closes the records.
fn resume(folder: &Path, order: &[usize], at_once: usize) -> usize {
    let mut records = GrowingRecords::open(folder, order).unwrap();
    let done = records.num_samples();
    for samples in order[done..].chunks(at_once) {
        records
            .append(samples.iter().map(|index| stored(*index)).collect())
            .unwrap();
    }
    records.finish().unwrap();
    done
}

fn lines(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    let records = Records::open(folder).unwrap();
    let collected = records.lines(|lines| {
        all.extend_from_slice(lines);
        Ok::<_, StudyError>(())
    });
    collected.unwrap();
    all
}

fn expected_lines(order: &[usize]) -> Vec<u8> {
    let lines = order
        .iter()
        .flat_map(|index| framed(&stored(*index).content));
    lines.collect()
}

/// The blocks of a run of `len` samples without shards.
fn whole(folder: &Path, len: usize) -> Vec<u8> {
    assert_eq!(resume(folder, &order(len), 1), 0);
    assert!(!folder.join(RECORDS_FILE).exists());
    read(folder, BLOCKS_FILE)
}

fn count(folder: &Path) -> u64 {
    count_records(folder, Counted::default()).unwrap().lines
}

#[test]
fn the_same_bytes_whatever_is_recorded_at_once() {
    let len = 2 * SAMPLES + 9;
    let temporary = tempfile::tempdir().unwrap();
    let blocks = whole(temporary.path(), len);
    assert_eq!(lines(temporary.path()), expected_lines(&order(len)));
    let records = Records::open(temporary.path()).unwrap();
    assert_eq!((records.num_samples(), records.num_parts()), (len, 3));
    assert_eq!(records.indices().unwrap().concat(), order(len));
    for at_once in [7, SAMPLES, SAMPLES + 1, len] {
        let folder = tempfile::tempdir().unwrap();
        resume(folder.path(), &order(len), at_once);
        assert!(read(folder.path(), BLOCKS_FILE) == blocks, "{at_once}");
    }
    // Written as for a merged run.
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RecordsWriter::create(folder.path()).unwrap();
    for index in order(len) {
        writer.push_stored(stored(index)).unwrap();
    }
    writer.finish().unwrap();
    assert!(read(folder.path(), BLOCKS_FILE) == blocks);
    // Resuming a complete run doesn't change it.
    assert_eq!(resume(temporary.path(), &order(len), 1), len);
    assert!(read(temporary.path(), BLOCKS_FILE) == blocks);
    assert!(!temporary.path().join(RECORDS_FILE).exists());
}

#[test]
fn blocks_cut_at_every_byte_are_gone_on_with() {
    let len = SAMPLES + 5;
    let temporary = tempfile::tempdir().unwrap();
    let blocks = whole(temporary.path(), len);
    let folder = tempfile::tempdir().unwrap();
    let first = Blocks::read(temporary.path()).unwrap().list[0].end() as usize;
    for cut in 0..blocks.len() {
        fs::write(folder.path().join(BLOCKS_FILE), &blocks[..cut]).unwrap();
        let recorded = if cut < first { 0 } else { SAMPLES };
        assert_eq!(count(folder.path()), recorded as u64, "{cut}");
        assert_eq!(
            Records::open(folder.path()).unwrap().num_samples(),
            recorded
        );
        // Cut at every byte of the small parts, and at some bytes of the rest.
        if cut % 7 == 0 || cut < HEADER + 9 || cut >= first {
            assert_eq!(resume(folder.path(), &order(len), len), recorded, "{cut}");
            assert!(read(folder.path(), BLOCKS_FILE) == blocks, "{cut}");
        }
    }
}

#[test]
fn lines_cut_at_every_byte_are_gone_on_with() {
    let len = SAMPLES + 6;
    let temporary = tempfile::tempdir().unwrap();
    let blocks = whole(temporary.path(), len);
    let folder = temporary.path();
    // As left by a program that is killed before the last sample.
    fs::remove_file(folder.join(BLOCKS_FILE)).unwrap();
    let mut records = GrowingRecords::open(folder, &order(len)).unwrap();
    let samples = order(len - 1).len();
    records
        .append(
            order(len)[..samples]
                .iter()
                .map(|index| stored(*index))
                .collect(),
        )
        .unwrap();
    drop(records);
    let (half, tail) = (read(folder, BLOCKS_FILE), read(folder, RECORDS_FILE));
    assert_eq!(count(folder), (len - 1) as u64);
    for cut in 0..=tail.len() {
        fs::write(folder.join(BLOCKS_FILE), &half).unwrap();
        fs::write(folder.join(RECORDS_FILE), &tail[..cut]).unwrap();
        let whole_lines = tail[..cut].iter().filter(|byte| **byte == b'\n').count();
        let recorded = SAMPLES + whole_lines;
        assert_eq!(count(folder), recorded as u64, "{cut}");
        assert_eq!(
            lines(folder),
            expected_lines(&order(len)[..recorded]),
            "{cut}"
        );
        assert_eq!(resume(folder, &order(len), 3), recorded, "{cut}");
        assert!(read(folder, BLOCKS_FILE) == blocks, "{cut}");
    }
}

/// A block is written before its samples are removed from the lines: a program may be killed in
/// between, or while the block is being written.
#[test]
fn samples_in_a_block_and_in_lines_are_there_once() {
    let len = 2 * SAMPLES;
    let temporary = tempfile::tempdir().unwrap();
    let blocks = whole(temporary.path(), len);
    let folder = temporary.path();
    let second = Blocks::read(folder).unwrap().list[1].offset as usize;
    let tail = expected_lines(&order(len)[SAMPLES..len - 1]);
    for cut in (second..=blocks.len()).step_by(11).chain([blocks.len()]) {
        fs::write(folder.join(BLOCKS_FILE), &blocks[..cut]).unwrap();
        fs::write(folder.join(RECORDS_FILE), &tail).unwrap();
        let recorded = if cut == blocks.len() { len } else { len - 1 };
        assert_eq!(count(folder), recorded as u64, "{cut}");
        assert_eq!(
            lines(folder),
            expected_lines(&order(len)[..recorded]),
            "{cut}"
        );
        assert_eq!(resume(folder, &order(len), 1), recorded, "{cut}");
        assert!(read(folder, BLOCKS_FILE) == blocks, "{cut}");
    }
    // If the disk lost the most recent writes, the lines still have the samples.
    let mut zeros = blocks.clone();
    zeros[second + 60..].fill(0);
    let mut no_header = blocks.clone();
    no_header[second..].fill(0);
    for damaged in [zeros, no_header] {
        fs::write(folder.join(BLOCKS_FILE), damaged).unwrap();
        fs::write(folder.join(RECORDS_FILE), &tail).unwrap();
        assert_eq!(resume(folder, &order(len), 1), len - 1);
        assert!(read(folder, BLOCKS_FILE) == blocks);
    }
}

#[test]
fn a_flipped_byte_is_an_error_that_names_block_and_file() {
    let len = 2 * SAMPLES + 3;
    let temporary = tempfile::tempdir().unwrap();
    let blocks = whole(temporary.path(), len);
    let folder = temporary.path();
    let list = Blocks::read(folder).unwrap().list;
    for at in (0..blocks.len()).step_by(37) {
        let mut damaged = blocks.clone();
        damaged[at] ^= 0x10;
        fs::write(folder.join(BLOCKS_FILE), &damaged).unwrap();
        let block = list
            .iter()
            .rposition(|it| it.offset as usize <= at)
            .unwrap()
            + 1;
        let mut errors = vec![GrowingRecords::open(folder, &order(len)).unwrap_err()];
        errors.extend(
            Records::open(folder)
                .and_then(|records| records.indices())
                .err(),
        );
        let read = Records::open(folder).and_then(|it| it.lines(|_| Ok::<_, StudyError>(())));
        errors.push(read.unwrap_err());
        assert_eq!(errors.len(), 3);
        for error in errors {
            let said = fp_scoring::error_text(&error);
            let named = format!("records.blocks, block {block} was damaged or changed");
            assert!(said.contains(&named), "{at}: {said}");
            let offset = list[block - 1].offset;
            assert!(
                said.contains(&format!("first {offset} bytes")),
                "{at}: {said}"
            );
        }
        // The attempt changed nothing.
        assert!(self::read(folder, BLOCKS_FILE) == damaged);
        fs::remove_file(folder.join(RECORDS_FILE)).unwrap();
        // Truncating as the error advises.
        let offset = list[block - 1].offset as usize;
        fs::write(folder.join(BLOCKS_FILE), &damaged[..offset]).unwrap();
        assert_eq!(resume(folder, &order(len), 9), list[block - 1].before);
        assert!(self::read(folder, BLOCKS_FILE) == blocks);
    }
}

#[test]
fn a_damaged_line_is_an_error_that_names_it() {
    let temporary = tempfile::tempdir().unwrap();
    let mut tail = expected_lines(&order(9));
    let second = tail.iter().position(|byte| *byte == b'\n').unwrap() + 40;
    tail[second] ^= 1;
    fs::write(temporary.path().join(RECORDS_FILE), &tail).unwrap();
    let said =
        fp_scoring::error_text(&GrowingRecords::open(temporary.path(), &order(9)).unwrap_err());
    assert!(said.contains("records.jsonl, line 2"), "{said}");
    let read = Records::open(temporary.path())
        .unwrap()
        .stored(0)
        .unwrap_err();
    assert!(fp_scoring::error_text(&read).contains("records.jsonl, line 2"));
}

#[test]
fn samples_of_another_order_are_refused() {
    let len = SAMPLES + 4;
    let temporary = tempfile::tempdir().unwrap();
    whole(temporary.path(), len);
    let mut other = order(len);
    other.swap(5, 6);
    let refused = |order: &[usize]| {
        let error = GrowingRecords::open(temporary.path(), order).unwrap_err();
        fp_scoring::error_text(&error)
    };
    let said = refused(&other);
    assert!(
        said.contains("records.blocks, record 6: it is sample"),
        "{said}"
    );
    let said = refused(&order(len)[..SAMPLES + 3]);
    assert!(said.contains("expected the end"), "{said}");
    // Lines that leave a gap.
    fs::write(
        temporary.path().join(RECORDS_FILE),
        framed(&stored(order(len + 8)[len + 2]).content),
    )
    .unwrap();
    assert!(
        refused(&order(len + 8)).contains("records"),
        "a hole was not found"
    );
}

/// A run of the earlier format consists of lines only.
#[test]
fn lines_of_the_earlier_format_are_read_and_become_blocks() {
    for len in [5, SAMPLES, 3 * SAMPLES + 5] {
        let temporary = tempfile::tempdir().unwrap();
        let blocks = whole(temporary.path(), len);
        for recorded in [len, len - 2] {
            let folder = tempfile::tempdir().unwrap();
            let old = expected_lines(&order(len)[..recorded]);
            fs::write(folder.path().join(RECORDS_FILE), &old).unwrap();
            assert_eq!(count(folder.path()), recorded as u64);
            let records = Records::open(folder.path()).unwrap();
            assert_eq!(records.num_samples(), recorded);
            assert_eq!(records.indices().unwrap().concat(), order(len)[..recorded]);
            assert_eq!(lines(folder.path()), old);
            assert_eq!(resume(folder.path(), &order(len), 4), recorded);
            assert!(
                read(folder.path(), BLOCKS_FILE) == blocks,
                "{len} {recorded}"
            );
            // Killed after some blocks were written, before the lines were removed.
            for cut in (0..blocks.len()).step_by(101) {
                fs::write(folder.path().join(BLOCKS_FILE), &blocks[..cut]).unwrap();
                write_whole(&folder.path().join(RECORDS_FILE), &old).unwrap();
                assert_eq!(count(folder.path()), recorded as u64, "{cut}");
                assert_eq!(resume(folder.path(), &order(len), 4), recorded, "{cut}");
                assert!(read(folder.path(), BLOCKS_FILE) == blocks, "{cut}");
            }
        }
    }
}

#[test]
fn counting_goes_on_where_it_was() {
    let len = 5 * SAMPLES + 3;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let mut records = GrowingRecords::open(folder, &order(len)).unwrap();
    let mut counted = Counted::default();
    for (at, index) in order(len).into_iter().enumerate() {
        records.append(vec![stored(index)]).unwrap();
        counted = count_records(folder, counted).unwrap();
        assert_eq!(counted.lines, at as u64 + 1);
        assert_eq!(counted, count_records(folder, Counted::default()).unwrap());
    }
    records.finish().unwrap();
    assert_eq!(count_records(folder, counted).unwrap().lines, len as u64);
    // A state from counting lines, and a file that has been replaced.
    let before = Counted {
        lines: 9,
        bytes: 700,
        before: 0,
    };
    assert_eq!(count_records(folder, before).unwrap().lines, len as u64);
    fs::remove_file(folder.join(BLOCKS_FILE)).unwrap();
    assert_eq!(count_records(folder, counted).unwrap(), Counted::default());
}

#[test]
fn counts_are_exact_while_another_thread_writes() {
    let len = 40 * SAMPLES;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let recorded = std::sync::atomic::AtomicUsize::new(0);
    use std::sync::atomic::Ordering::SeqCst;
    let mut records = GrowingRecords::open(folder, &order(len)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for index in order(len) {
                records.append(vec![stored(index)]).unwrap();
                recorded.fetch_add(1, SeqCst);
            }
        });
        let mut counted = Counted::default();
        while (counted.lines as usize) < len {
            let before = recorded.load(SeqCst);
            counted = count_records(folder, counted).unwrap();
            let read = Records::open(folder).unwrap().num_samples();
            // One sample may be written but not yet counted by the writer.
            let after = recorded.load(SeqCst) + 1;
            for found in [counted.lines as usize, read] {
                assert!(
                    (before..=after).contains(&found),
                    "{before} {found} {after}"
                );
            }
        }
    });
}
