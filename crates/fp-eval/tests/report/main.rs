//! Reports on made-up runs: numbers against naive loops, the page in a real browser.

mod synthetic;

#[test]
fn tmp() {
  for study in ["a", "b"] {
    let folder = std::path::PathBuf::from(format!("/tmp/synth-{study}"));
    let folder = folder.as_path();
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    synthetic::write_run(folder, study, synthetic::Size::default(), 1);
    let start = std::time::Instant::now();
    fp_eval::report::write(folder).unwrap();
    println!("{:?}", start.elapsed());
  }
}
