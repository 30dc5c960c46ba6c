//! Build and command line of this program, to be recorded in a run.

use fp_eval::study::Invocation;

/// Information about the running program; unknown values stay empty.
pub(crate) fn current() -> Invocation {
    Invocation {
        command: std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        working_dir: std::env::current_dir().ok(),
        commit: option_env!("FINEPRUNER_COMMIT").map(str::to_owned),
        compiler: option_env!("FINEPRUNER_COMPILER").map(str::to_owned),
        profile: Some(
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            }
            .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_commit_is_a_commit() {
        let Some(commit) = super::current().commit else {
            return;
        };
        let hash = commit.strip_suffix("+changes").unwrap_or(&commit);
        assert!(
            hash.len() >= 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{commit}"
        );
    }
}
