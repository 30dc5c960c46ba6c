//! Manifests of the workspace's packages, and the order in which to publish them.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A package of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) is_published: bool,
    /// Fields that crates.io requires and the manifest lacks.
    missing: Vec<&'static str>,
    /// Its dependencies inside the workspace.
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone)]
struct Dependency {
    name: String,
    /// `*` if the manifest has none.
    requirement: String,
    is_for_tests: bool,
}

/// Fields that a published package must have.
const FIELDS: [&str; 4] = ["description", "license", "keywords", "categories"];

/// Parses the output of `cargo metadata`.
pub(super) fn read(metadata: &Value) -> Result<Vec<Package>> {
    let listed = metadata["packages"].as_array().context("no packages")?;
    let names: Vec<&str> = listed.iter().filter_map(|p| p["name"].as_str()).collect();
    listed
        .iter()
        .map(|package| {
            let field = |name: &str| package[name].as_str().map(str::to_owned);
            let dependencies = package["dependencies"].as_array();
            let dependencies = dependencies.into_iter().flatten().filter_map(|dependency| {
                let name = dependency["name"].as_str()?;
                names.contains(&name).then(|| Dependency {
                    name: name.to_owned(),
                    requirement: dependency["req"].as_str().unwrap_or("*").to_owned(),
                    is_for_tests: dependency["kind"] == "dev",
                })
            });
            let is_missing = |name: &&&str| match &package[**name] {
                Value::String(text) => text.is_empty(),
                Value::Array(values) => values.is_empty(),
                _ => true,
            };
            Ok(Package {
                name: field("name").context("a package without a name")?,
                version: field("version").context("a package without a version")?,
                is_published: package["publish"].is_null(),
                missing: FIELDS.iter().filter(is_missing).copied().collect(),
                dependencies: dependencies.collect(),
            })
        })
        .collect()
}

/// The published packages, each after its dependencies.
pub(super) fn in_order(packages: &[Package]) -> Result<Vec<&Package>> {
    let mut waiting: Vec<&Package> = packages.iter().filter(|p| p.is_published).collect();
    let mut ordered: Vec<&Package> = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |package: &&Package| {
            let is_there = |name: &str| ordered.iter().any(|done| done.name == name);
            let mut needed = package.dependencies.iter().filter(|d| !d.is_for_tests);
            needed.all(|needed| is_there(&needed.name))
        };
        let Some(index) = waiting.iter().position(is_ready) else {
            let names: Vec<&str> = waiting.iter().map(|p| p.name.as_str()).collect();
            bail!(
                "these packages depend on each other or on one that is not published: {}",
                names.join(", ")
            );
        };
        ordered.push(waiting.remove(index));
    }
    Ok(ordered)
}

/// Problems in the manifests of published packages, given the version `version`.
pub(super) fn problems(packages: &[Package], version: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| package.is_published) {
        let name = &package.name;
        if package.version != version {
            problems.push(format!(
                "{name} has the version {}, others have {version}",
                package.version
            ));
        }
        for field in &package.missing {
            problems.push(format!("the manifest of {name} has no {field}"));
        }
        let wanted = format!("^{version}");
        for dependency in &package.dependencies {
            let (other, requirement) = (&dependency.name, &dependency.requirement);
            // Cargo omits a test dependency without a version from the package.
            if *requirement != wanted && !(dependency.is_for_tests && requirement == "*") {
                problems.push(format!(
                    "{name} depends on {other} {requirement}, which should be {wanted}"
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &Value) -> Value {
        json!({
            "name": name, "version": "0.2.0", "publish": null, "description": "d",
            "license": "MIT", "keywords": ["k"], "categories": ["c"],
            "dependencies": dependencies,
        })
    }

    fn dependency(name: &str, requirement: &str, kind: Option<&str>) -> Value {
        json!({"name": name, "req": requirement, "kind": kind})
    }

    #[test]
    fn packages_come_behind_what_they_depend_on() {
        let metadata = json!({"packages": [
            package("top", &json!([dependency("middle", "^0.2.0", None), dependency("serde", "^1", None)])),
            package("middle", &json!([dependency("low", "^0.2.0", Some("build"))])),
            package("low", &json!([dependency("middle", "*", Some("dev"))])),
        ]});
        let packages = read(&metadata).unwrap();
        let ordered = in_order(&packages).unwrap();
        let names: Vec<&str> = ordered.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["low", "middle", "top"]);
        assert_eq!(problems(&packages, "0.2.0"), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut unpublished = package("tool", &json!([]));
        unpublished["publish"] = json!([]);
        let mut poor = package(
            "poor",
            &json!([
                dependency("low", "*", None),
                dependency("low", "^0.1.0", Some("dev"))
            ]),
        );
        poor["keywords"] = json!([]);
        poor["version"] = json!("0.1.0");
        let low = package("low", &json!([]));
        let packages = read(&json!({"packages": [unpublished, poor, low]})).unwrap();
        let found = problems(&packages, "0.2.0");
        assert_eq!(found.len(), 4, "{found:?}");
        let circle = json!({"packages": [
            package("a", &json!([dependency("b", "^0.2.0", None)])),
            package("b", &json!([dependency("a", "^0.2.0", None)])),
        ]});
        assert!(in_order(&read(&circle).unwrap()).is_err());
    }
}
