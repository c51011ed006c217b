//! The peers' own texts.

use model::FaultKind;
use runtime_rules::{LoadOptions, Loaded, RuleSet, SourceFile};
use serde_json::{Value, json};
use testkit::corpus::{Corpus, Verdict};

#[test]
fn corpus_falco_parser() {
    let Some(mut corpus) = Corpus::open("falco-parser", "falco/filter_parser.jsonl") else { return };
    for (number, case) in corpus.lines("").into_iter().enumerate() {
        let input = case["input"].as_str().unwrap();
        let mut texts = vec![input.to_owned()];
        if case["any_blank"] == json!(true) {
            texts.extend([format!(" {input} "), input.replace(' ', "\n"), input.replace(' ', "\t")]);
        }
        let results: Vec<_> = texts.iter().map(|text| runtime_rules::parse(text)).collect();
        let accepted = results.iter().all(Result::is_ok);
        let mut good = if case["accept"] == json!(true) { accepted } else { results[0].is_err() };
        let said = results.into_iter().find_map(Result::err);
        if let (Some(wanted), Some(said)) = (case["error"].as_str(), &said) {
            good &= said.what == wanted;
        }
        let verdict = if good { Verdict::Pass } else { Verdict::Fail };
        corpus.judge(
            format!("{}:{input}", number + 1),
            verdict,
            json!([case["accept"], case["error"]]),
            json!([accepted, said.map(|said| said.to_string())]),
        );
    }
    corpus.finish(include_str!("../corpus/falco-parser.exceptions"));
}

#[test]
fn corpus_falco_loader() {
    let Some(mut corpus) = Corpus::open("falco-loader", "falco/rule_loader.jsonl") else { return };
    for case in corpus.lines("") {
        let loaded = upstream_load("rules.yaml", case["rules"].as_str().unwrap());
        let said = |warnings: bool| -> Vec<String> {
            loaded
                .faults
                .iter()
                .filter(|fault| (fault.kind == FaultKind::Warning) == warnings)
                .map(|fault| fault.what.clone())
                .collect()
        };
        let (errors, warnings) = (said(false), said(true));
        let mut wrong = Vec::new();
        if case["loads"] != json!(errors.is_empty()) {
            wrong.push("loads".to_owned());
        }
        for (key, texts, wanted) in [
            ("error_contains", &errors, true),
            ("error_lacks", &errors, false),
            ("warning_contains", &warnings, true),
            ("warning_lacks", &warnings, false),
        ] {
            for text in case[key].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if texts.iter().any(|said| said.contains(text)) != wanted {
                    wrong.push(format!("{key}: {text}"));
                }
            }
        }
        for (name, condition) in case["compiled_condition"].as_object().into_iter().flatten() {
            let got =
                loaded.rules.rules().iter().find(|rule| rule.name == *name).map(|rule| rule.condition.to_string());
            if got.as_deref() != condition.as_str() {
                wrong.push(format!("condition of {name}: {got:?}"));
            }
        }
        if case["enabled_rules"].as_u64().is_some_and(|count| count != loaded.rules.rules().len() as u64) {
            wrong.push(format!("enabled: {}", loaded.rules.rules().len()));
        }
        if case["has_warnings"].as_bool().is_some_and(|has| has == warnings.is_empty()) {
            wrong.push("has_warnings".to_owned());
        }
        if let (Some(first), Some(rule)) = (case["first_rule"].as_object(), loaded.rules.rules().first()) {
            let seen = json!({
                "name": rule.name, "description": rule.description, "priority": rule.priority.to_string(),
                "condition": rule.condition_text, "output": rule.output_text, "capture": rule.capture,
                "capture_duration": rule.capture_duration_ms, "tags": rule.tags,
            });
            wrong.extend(
                first
                    .iter()
                    .filter(|(key, wanted)| seen[key.as_str()] != **wanted)
                    .map(|(key, _)| format!("{key}: {}", seen[key.as_str()])),
            );
        }
        let verdict = if wrong.is_empty() { Verdict::Pass } else { Verdict::Fail };
        let mut expected = case.clone();
        expected["rules"] = Value::Null;
        corpus.judge(
            case["id"].as_str().unwrap(),
            verdict,
            expected,
            json!({ "wrong": wrong, "errors": errors, "warnings": warnings }),
        );
    }
    corpus.finish(include_str!("../corpus/falco-loader.exceptions"));
}

#[test]
fn corpus_falco_rules() {
    let Some(mut corpus) = Corpus::open("falco-rules", "falco/rules") else { return };
    let mut files: Vec<_> = std::fs::read_dir(corpus.folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let loaded = upstream_load(&name, &text);
        let names = text.lines().filter_map(|line| line.strip_prefix("- rule:")).map(|name| name.trim().to_owned());
        for rule in names {
            let is_loaded =
                loaded.rules.rules().iter().any(|known| known.name == rule) || loaded.disabled.contains(&rule);
            let faults: Vec<String> = loaded
                .faults
                .iter()
                .filter(|fault| fault.kind != FaultKind::Warning && fault.subject.ends_with(&rule))
                .map(ToString::to_string)
                .collect();
            let verdict = if is_loaded && faults.is_empty() { Verdict::Pass } else { Verdict::Fail };
            corpus.judge(format!("{name}:{rule}"), verdict, json!("loads"), json!(faults));
        }
        let others: Vec<String> =
            loaded.faults.iter().filter(|fault| fault.kind != FaultKind::Warning).map(ToString::to_string).collect();
        assert!(others.is_empty(), "{name}: {others:?}");
    }
    corpus.finish(include_str!("../corpus/falco-rules.exceptions"));
}

/// With upstream's manners: the first fault gives up, what nothing refers to is warned about.
fn upstream_load(name: &str, text: &str) -> Loaded {
    let options = LoadOptions {
        all_or_nothing: true,
        warn_unused: true,
        warn_empty: false,
        append_output: Vec::new(),
        ..LoadOptions::default()
    };
    RuleSet::load(&[SourceFile { name, text }], &options)
}
