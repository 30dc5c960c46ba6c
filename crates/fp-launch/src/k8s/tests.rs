//! Checks the manifest against the part of the schema that it uses: fields and types of `Job` in
//! `batch/v1` and of `ConfigMap` in `v1`, Kubernetes API v1.33.

use serde_json::{Value, json};

use super::*;

fn settings() -> JobSettings {
    JobSettings {
        name: "gqa-7b".to_owned(),
        namespace: Some("research".to_owned()),
        image: "registry.example/finepruner:0.1".to_owned(),
        shards: 8,
        max_parallel: 4,
        retries: 3,
        claim: "data".to_owned(),
        mount: "/data".to_owned(),
        output: "/data/runs/gqa".to_owned(),
        gpus: 1,
        cpu: Some("8".to_owned()),
        memory: Some("64Gi".to_owned()),
        flags: vec!["--batch-size=16".to_owned()],
    }
}

/// Types: `string`, `int`, `bool`; `map` of strings; `[T]`; an object of fields, where `*` marks
/// required ones; `a|b`: one of these words.
fn schema() -> Value {
    let metadata = json!({"*name": "string", "namespace": "string", "labels": "map",
        "annotations": "map"});
    let exit_codes = json!({"containerName": "string", "*operator": "In|NotIn",
        "*values": ["int"]});
    let container = json!({
        "*name": "string", "image": "string", "command": ["string"], "args": ["string"],
        "workingDir": "string",
        "env": [{"*name": "string", "value": "string"}],
        "resources": {"limits": "map", "requests": "map"},
        "volumeMounts": [{"*name": "string", "*mountPath": "string", "readOnly": "bool"}],
    });
    let volume = json!({
        "*name": "string",
        "persistentVolumeClaim": {"*claimName": "string", "readOnly": "bool"},
        "configMap": {"name": "string"},
    });
    let pod = json!({
        "restartPolicy": "Never|OnFailure", "terminationGracePeriodSeconds": "int",
        "*containers": [container], "volumes": [volume], "nodeSelector": "map",
    });
    json!({
        "Job": {
            "*apiVersion": "batch/v1", "*kind": "Job", "*metadata": metadata,
            "*spec": {
                "completionMode": "Indexed|NonIndexed", "completions": "int",
                "parallelism": "int", "backoffLimit": "int", "backoffLimitPerIndex": "int",
                "maxFailedIndexes": "int", "podReplacementPolicy": "TerminatingOrFailed|Failed",
                "ttlSecondsAfterFinished": "int",
                "podFailurePolicy": {"*rules": [{
                    "*action": "FailJob|FailIndex|Ignore|Count",
                    "onExitCodes": exit_codes,
                    "onPodConditions": [{"*type": "string", "*status": "True|False|Unknown"}],
                }]},
                "*template": {"metadata": {"labels": "map", "annotations": "map"}, "*spec": pod},
            },
        },
        "ConfigMap": {
            "*apiVersion": "v1", "*kind": "ConfigMap", "*metadata": metadata, "data": "map",
        },
    })
}

/// Finds the errors in `value` according to a schema.
fn problems(value: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
    match (schema, value) {
        (Value::Object(fields), Value::Object(given)) => {
            for (name, value) in given {
                let known = fields.get(name).or_else(|| fields.get(&format!("*{name}")));
                match known {
                    Some(schema) => problems(value, schema, &format!("{at}.{name}"), found),
                    None => found.push(format!("{at}.{name} is unknown")),
                }
            }
            for name in fields.keys().filter_map(|name| name.strip_prefix('*')) {
                if !given.contains_key(name) {
                    found.push(format!("{at}.{name} is missing"));
                }
            }
        }
        (Value::Array(entry), Value::Array(entries)) => {
            for (index, value) in entries.iter().enumerate() {
                problems(value, &entry[0], &format!("{at}[{index}]"), found);
            }
        }
        (Value::String(form), value) => {
            let is_right = match form.as_str() {
                "string" => value.is_string(),
                "int" => value.is_u64(),
                "bool" => value.is_boolean(),
                "map" => value
                    .as_object()
                    .is_some_and(|fields| fields.values().all(Value::is_string)),
                words => value
                    .as_str()
                    .is_some_and(|text| words.split('|').any(|w| w == text)),
            };
            if !is_right {
                found.push(format!("{at} is {value}, not {form}"));
            }
        }
        (schema, value) => found.push(format!("{at} is {value}, not {schema}")),
    }
}

fn check(objects: &[Value]) -> Vec<String> {
    let schema = schema();
    let mut found = Vec::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        problems(object, &schema[kind], kind, &mut found);
    }
    found
}

#[test]
fn the_manifest_is_what_the_api_takes() {
    let full = settings();
    let least = JobSettings {
        namespace: None,
        gpus: 0,
        cpu: None,
        memory: None,
        flags: Vec::new(),
        ..settings()
    };
    for settings in [full, least] {
        settings.check().unwrap();
        assert_eq!(check(&settings.manifests("{}")), Vec::<String>::new());
    }
}

#[test]
fn the_schema_finds_mistakes() {
    let [_, mut job] = settings().manifests("{}");
    job["spec"]["completions"] = "8".into();
    job["spec"]["template"]["spec"]["containers"][0]["comand"] = json!([]);
    job["metadata"].as_object_mut().unwrap().remove("name");
    assert_eq!(
        check(&[job]),
        [
            "Job.metadata.name is missing",
            "Job.spec.completions is \"8\", not int",
            "Job.spec.template.spec.containers[0].comand is unknown",
        ]
    );
}

#[test]
fn a_pod_takes_its_shard_from_its_index() {
    let [config, job] = settings().manifests("{\"study\": \"a\"}");
    assert_eq!(config["data"]["config.json"], "{\"study\": \"a\"}");
    let command = &job["spec"]["template"]["spec"]["containers"][0]["command"];
    let script = command[2].as_str().unwrap();
    // The same script, printing the program's arguments instead of running it.
    let script = script.replace("exec finepruner", "printf '%s\\n'");
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .env("JOB_COMPLETION_INDEX", "4")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for part in [
        "--shard\n5/8\n",
        "--output\n/data/runs/gqa/shards/0005\n",
        "\n--batch-size=16\n",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
}

#[test]
fn what_kubernetes_would_refuse_is_refused() {
    for (change, part) in [
        (
            (|s| s.name = "GQA".to_owned()) as fn(&mut JobSettings),
            "lower-case",
        ),
        (|s| s.output = "runs".to_owned(), "absolute path"),
        (|s| s.memory = Some("64GB".to_owned()), "64Gi"),
        (|s| s.image = String::new(), "container image"),
    ] {
        let mut wrong = settings();
        change(&mut wrong);
        let message = wrong.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}
