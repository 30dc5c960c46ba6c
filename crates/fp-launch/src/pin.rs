//! Dividing a node among several processes of one task.

use crate::error::LaunchError;

/// A task's share of its node, from the variables that Slurm sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Number of CPUs.
    pub cpus: usize,
    /// GPUs as named in `CUDA_VISIBLE_DEVICES`; `None` if the variable isn't set.
    pub gpus: Option<Vec<String>>,
    /// Bytes of memory; `None` if Slurm doesn't state it.
    pub memory: Option<u64>,
}

/// The share of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of compute threads.
    pub threads: usize,
    /// Value of `CUDA_VISIBLE_DEVICES`; `None` to leave it unchanged.
    pub gpus: Option<String>,
    /// Memory limit in bytes, excluding weights; `None` for the default of `finepruner study`.
    pub memory: Option<u64>,
}

impl Node {
    /// Reads environment variables by `variable`; `cpus` is the number of CPUs that the system lets
    /// this process use.
    ///
    /// # Errors
    /// A variable with a value that Slurm wouldn't set.
    pub fn of(variable: impl Fn(&str) -> Option<String>, cpus: usize) -> Result<Node, LaunchError> {
        let number = |name: &str| match variable(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(LaunchError::setting(name, text, "a number of at least 1")),
            },
        };
        let given = number("SLURM_CPUS_PER_TASK")?.or(number("SLURM_CPUS_ON_NODE")?);
        let per_node = number("SLURM_MEM_PER_NODE")?;
        let per_cpu = number("SLURM_MEM_PER_CPU")?;
        let cpus = given.map_or(cpus, |cpus| cpus as usize).max(1);
        let mebibytes = per_node.or(per_cpu.map(|memory| memory * cpus as u64));
        let gpus = variable("CUDA_VISIBLE_DEVICES").map(|devices| {
            let names = devices.split(',').map(str::trim);
            names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        });
        Ok(Node {
            cpus,
            gpus,
            memory: mebibytes.map(|mebibytes| mebibytes << 20),
        })
    }

    /// The share of process `index` of `count`, counted from 0: an equal part of CPUs and memory,
    /// and GPUs of its own if there are enough; otherwise processes share GPUs in turn.
    pub fn part(&self, index: usize, count: usize) -> Part {
        let share = |total: usize| {
            let (first, end) = (index * total / count, (index + 1) * total / count);
            first..end
        };
        let gpus = self.gpus.as_ref().map(|gpus| {
            let own = match gpus.len() {
                0 => &gpus[0..0],
                len if len < count => std::slice::from_ref(&gpus[index % len]),
                len => &gpus[share(len)],
            };
            own.join(",")
        });
        Part {
            threads: share(self.cpus).len().max(1),
            gpus,
            // The other half is for weights and the system's file cache.
            memory: self.memory.map(|memory| memory / 2 / count as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(variables: &[(&str, &str)]) -> Result<Node, LaunchError> {
        let find = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Node::of(find, 4)
    }

    #[test]
    fn slurms_word_counts_before_the_systems() {
        let slurm = node(&[
            ("SLURM_CPUS_PER_TASK", "12"),
            ("SLURM_CPUS_ON_NODE", "64"),
            ("SLURM_MEM_PER_NODE", "8192"),
            ("CUDA_VISIBLE_DEVICES", "0,1,2,3"),
        ])
        .unwrap();
        assert_eq!((slurm.cpus, slurm.memory), (12, Some(8 << 30)));
        assert_eq!(node(&[]).unwrap().cpus, 4);
        let message = node(&[("SLURM_CPUS_PER_TASK", "all")])
            .unwrap_err()
            .to_string();
        assert!(message.contains("SLURM_CPUS_PER_TASK"), "{message}");
    }

    #[test]
    fn processes_share_a_node() {
        let gpus = |names: &str, count: usize| -> Vec<String> {
            let node = node(&[("CUDA_VISIBLE_DEVICES", names)]).unwrap();
            let parts = (0..count).map(|index| node.part(index, count));
            parts.map(|part| part.gpus.unwrap()).collect()
        };
        assert_eq!(gpus("0,1,2,3", 2), ["0,1", "2,3"]);
        assert_eq!(gpus("GPU-a,GPU-b", 2), ["GPU-a", "GPU-b"]);
        assert_eq!(gpus("3", 2), ["3", "3"]);
        assert_eq!(gpus("", 2), ["", ""]);
        let node = node(&[("SLURM_CPUS_PER_TASK", "7")]).unwrap();
        let threads: Vec<usize> = (0..3).map(|index| node.part(index, 3).threads).collect();
        assert_eq!(threads.iter().sum::<usize>(), 7);
        assert_eq!(node.part(0, 16).threads, 1);
        assert_eq!(node.part(0, 3).gpus, None);
    }
}
