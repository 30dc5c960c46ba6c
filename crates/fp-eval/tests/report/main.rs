//! Reports on made-up runs: numbers against naive loops, the page in a real browser.

mod synthetic;

#[test]
fn tmp() {
    let folder = std::path::Path::new("/tmp/synth-a");
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    synthetic::write_run(folder, "a", synthetic::Size::default(), 1);
    let start = std::time::Instant::now();
    fp_eval::report::write(folder).unwrap();
    println!("{:?}", start.elapsed());
}
