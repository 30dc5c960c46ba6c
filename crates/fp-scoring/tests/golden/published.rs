//! Selections of the authors' own functions, executed in `f64` on random tensors, for every
//! published method. If a margin is below 1e-9 of the scores' range, a different selection is
//! accepted.

use std::collections::BTreeMap;

use fp_scoring::{
    Extra, MethodInputs, MethodParams, ParamScope, PublishedError, published_method,
    published_methods,
};
use safetensors::SafeTensors;
use serde_json::Value;

static TENSORS: &[u8] = include_bytes!("published.safetensors");

/// A case, its fields by name.
pub(crate) struct Case(serde_json::Map<String, Value>);

impl Case {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap()
    }

    pub(crate) fn margin(&self) -> f64 {
        let margin = |field: &str| self.0.get(field).and_then(Value::as_f64);
        let cluster = margin("cluster_margin").filter(|_| self.0["cluster_tie"] != true);
        margin("margin").unwrap().min(cluster.unwrap_or(1.0))
    }

    fn name(&self) -> String {
        format!(
            "{} {} {}",
            self.text("method"),
            self.text("input"),
            self.0["params"]
        )
    }

    pub(crate) fn inputs(&self) -> MethodInputs {
        let mut inputs = MethodInputs::default();
        for name in self.0["inputs"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            let (shape, values) = tensor(&format!("{name}_{}", self.text("input")));
            inputs.insert(name, shape, values).unwrap();
        }
        inputs
    }

    /// The parameters in their text form.
    pub(crate) fn params(&self) -> Vec<(String, String)> {
        let mut params: Vec<(String, String)> = self.0["params"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), written(value)))
            .collect();
        if let Some(noise) = self.0.get("noise") {
            params.push(("noise".to_owned(), written(noise)));
        }
        params
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(written).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let cases: Vec<serde_json::Map<String, Value>> =
        serde_json::from_str(include_str!("published.json")).unwrap();
    cases.into_iter().map(Case).collect()
}

fn tensor(name: &str) -> (Vec<usize>, Vec<f64>) {
    let file = SafeTensors::deserialize(TENSORS).unwrap();
    let view = file.tensor(name).unwrap();
    let (values, _) = view.data().as_chunks::<4>();
    let values = values
        .iter()
        .map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
    (view.shape().to_vec(), values.collect())
}

#[test]
fn the_authors_functions_choose_the_same() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for case in cases() {
        *counts.entry(case.text("method").to_owned()).or_default() += 1;
        if let Err(problem) = check(&case) {
            problems.push(format!("{}: {problem}", case.name()));
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
    assert_eq!(counts.values().sum::<usize>(), 126);
    let known = published_methods().iter().map(|method| method.card().name);
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    assert!(counts.keys().eq(known.iter()), "a method without cases");
}

fn check(case: &Case) -> Result<(), String> {
    let method = published_method(case.text("method")).map_err(|e| e.to_string())?;
    let card = method.card();
    let params = MethodParams::parse(card, ParamScope::Selection, &case.params());
    let params = params.map_err(|e| e.to_string())?;
    let choice = method
        .choose(&case.inputs(), &params)
        .map_err(|e| e.to_string())?;
    if case.margin() <= 1e-9 {
        return Err(format!(
            "its margin is {}; nothing is compared",
            case.margin()
        ));
    }
    let same = |field: &str, found: Value| match case.0.get(field) {
        Some(expected) if *expected != found => {
            Err(format!("{field}: {found}\n  instead of {expected}"))
        }
        _ => Ok(()),
    };
    same("kept", serde_json::json!(choice.kept))?;
    if let Some(expected) = case.0.get("picked") {
        let picked = serde_json::json!(choice.picked);
        if *expected != picked {
            return Err(format!("picked: {picked}\n  instead of {expected}"));
        }
    }
    const NOT_OURS: [&str; 10] = [
        "method",
        "input",
        "inputs",
        "visual_tokens",
        "params",
        "kept",
        "margin",
        "cluster_margin",
        "cluster_tie",
        "tokens",
    ];
    for (field, expected) in &case.0 {
        if NOT_OURS.contains(&field.as_str()) || field == "picked" {
            continue;
        }
        let found = choice
            .extra(field)
            .ok_or(format!("it doesn't say `{field}`"))?;
        if let Extra::Number(found) = found {
            let expected = expected.as_f64().unwrap();
            if (found - expected).abs() > 1e-9 {
                return Err(format!("{field}: {found} instead of {expected}"));
            }
            continue;
        }
        same(field, serde_json::json!(found))?;
    }
    match (case.0.get("tokens"), &choice.rows) {
        (None, None) => {}
        (Some(name), Some(rows)) => {
            let (shape, expected) = tensor(name.as_str().unwrap());
            let largest = expected
                .iter()
                .fold(0.0_f64, |largest, v| largest.max(v.abs()));
            if shape != [rows.num_rows(), rows.num_columns()] {
                return Err(format!("rows {}, not {shape:?}", rows.num_rows()));
            }
            for (found, expected) in rows.values().iter().zip(&expected) {
                if (found - expected).abs() > 1e-6 * largest {
                    return Err(format!("a row's value is {found} instead of {expected}"));
                }
            }
        }
        (expected, rows) => return Err(format!("rows: {} where {expected:?}", rows.is_some())),
    }
    let selection = choice.selection.as_ref();
    if selection.is_none() != (case.text("method") == "sparsevlm_raters") {
        return Err("a selection where there is none, or none".to_owned());
    }
    Ok(())
}

/// The result is the same on any number of threads, and when repeated.
#[test]
fn published_methods_choose_the_same_on_any_threads() {
    let run = |case: &Case| {
        let method = published_method(case.text("method")).unwrap();
        let params = MethodParams::parse(method.card(), ParamScope::Selection, &case.params());
        method.choose(&case.inputs(), &params.unwrap()).unwrap()
    };
    for case in cases().iter().filter(|case| case.text("input") == "144_0") {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| run(case))
        };
        let one = on(1);
        assert_eq!(one, on(3), "{}", case.name());
    }
}

/// Every missing parameter or tensor is reported by name.
#[test]
fn what_a_published_method_misses_is_named() {
    for case in cases() {
        let method = published_method(case.text("method")).unwrap();
        let card = method.card();
        let given = case.params();
        for index in 0..given.len() {
            let mut fewer = given.clone();
            let (name, _) = fewer.remove(index);
            match MethodParams::parse(card, ParamScope::Selection, &fewer) {
                Ok(_) => {}
                Err(PublishedError::MissingParam { param, .. }) => assert_eq!(param, name),
                Err(error) => panic!("{error}"),
            }
        }
        let params = MethodParams::parse(card, ParamScope::Selection, &given).unwrap();
        let error = method
            .choose(&MethodInputs::default(), &params)
            .unwrap_err();
        assert!(
            matches!(&error, PublishedError::MissingTensor { tensor, .. } if card.inputs.iter().any(|input| input.name == *tensor)),
            "{error}"
        );
    }
}
