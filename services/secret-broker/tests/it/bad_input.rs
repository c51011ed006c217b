//! Manifests and surroundings that are wrong: each is said at the manifest and in an event, with what to do; each heals when it is mended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cluster_world::{World, encoded, external};

const PASSWORD: &str = "{.data.password}";

fn templated(name: &str, text: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name} }}\nspec:\n  secretStoreRef: {{ name: bao, kind: SecretStore }}\n  target: {{ template: {{ data: {{ password: '{text}' }} }} }}\n  data: [{{ secretKey: password, remoteRef: {{ key: db, property: password }} }}]\n"
    )
}

fn remedy(world: &World, name: &str, words: &str) {
    let said = world.until_it("externalsecret", name, "{.status.conditions[0].message}", |_| true);
    assert!(said.contains(words), "{name}: no remedy {words:?} in {said:?}");
}

#[test]
fn templates_that_do_not_end_and_contents_that_do_not_fit_are_refused() {
    let Some(world) = World::start() else { return };
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    let cases = [
        ("recursion", r#"{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}"#, "exceeded maximum"),
        (
            "loops",
            "{{ range untilStep 0 10000 1 }}{{ range untilStep 0 10000 1 }}{{ . }}{{ end }}{{ end }}",
            "template of `password`: template: password: ",
        ),
        ("gigabyte", r#"{{ repeat 1000000000 "x" }}"#, "the result would be too large"),
        (
            "doubling",
            r#"{{ $x := "xxxxxxxxxxxxxxxx" }}{{ range untilStep 0 60 1 }}{{ $x = print $x $x }}{{ end }}{{ $x }}"#,
            "the result would be too large",
        ),
        ("syntax", "{{ if }}", "template of `password`"),
        ("unknown", "{{ .passwort }}", "map has no entry for key"),
        ("host", r#"{{ env "HOME" }}"#, "function \"env\" not defined"),
    ];
    for (name, text, _) in cases {
        world.server.apply(&templated(name, text)).unwrap();
    }
    for (name, _, words) in cases {
        world.until_failed(name, words);
        remedy(&world, name, "correct `spec.target.template`");
    }
    // What is larger than Kubernetes takes.
    world.server.apply(&templated("large", r#"{{ repeat 3000000 "x" }}"#)).unwrap();
    world.until_failed("large", "1");
    let said = world.until_it("externalsecret", "large", "{.status.conditions[0].message}", |_| true);
    assert!(said.contains("MiB") || said.contains("1048576") || said.contains("larger"), "{said}");
    // Each heals when it is mended, and none held the others up.
    for (name, ..) in cases.iter().chain(&[("large", "", "")]) {
        world.server.apply(&templated(name, "mended {{ .password }}")).unwrap();
        world.until("secret", name, PASSWORD, &encoded("mended canary-one"));
        world.until_ready(name);
    }
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}

#[test]
fn stores_that_are_missing_unknown_or_mistaken_are_said_and_heal() {
    let Some(world) = World::start() else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    let by = |name: &str| {
        external("db", "{}")
            .replace("metadata: { name: db,", &format!("metadata: {{ name: {name},"))
            .replace("name: bao,", &format!("name: {name},"))
    };
    let store = |name: &str, provider: &str| {
        format!(
            "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: {name} }}\nspec: {{ provider: {provider} }}\n"
        )
    };
    let vault = |path: &str, key: &str| {
        format!(
            "{{ vault: {{ server: '{}', path: {path}, auth: {{ tokenSecretRef: {{ name: bao-token, key: {key} }} }} }} }}",
            world.bao.address
        )
    };
    apply(&store("cloud", "{ gcpsm: { projectID: p } }"));
    apply(&store("keyless", &vault("secret", "wrong")));
    apply(&store("unmounted", &vault("nowhere", "token")));
    let cases = [
        ("missing", "does not exist", "add the store's manifest"),
        ("cloud", "is set aside", "mend the store first"),
        ("keyless", "has only these keys: token", "correct the key"),
        ("unmounted", "nothing is mounted", "correct `path` in the store"),
    ];
    for (name, ..) in cases {
        apply(&by(name));
    }
    for (name, words, cure) in cases {
        world.until_failed(name, words);
        remedy(&world, name, cure);
    }
    let all = crate::cluster_world::admin(world.folder.path(), "/faults");
    assert!(all.contains("gcpsm"), "the store's own fault names its provider: {all}");
    for (name, ..) in cases {
        // The API server refuses a store with two providers: it is made anew.
        let _ = world.server.kubectl(&["delete", "secretstore", name]);
        apply(&store(name, &vault("secret", "token")));
        world.until("secret", name, PASSWORD, &encoded("canary-one"));
        world.until_ready(name);
    }
}

#[test]
fn targets_that_cannot_be_written_are_said_and_heal() {
    let Some(world) = World::start() else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one", "odd name!=canary-odd"]).unwrap();
    // Two for one: the first has it, the second says so; when the first goes, the second has it.
    let second = external("db", "{ name: shared }").replace("metadata: { name: db,", "metadata: { name: second,");
    apply(&external("db", "{ name: shared }"));
    world.until("secret", "shared", PASSWORD, &encoded("canary-one"));
    apply(&second);
    world.until_failed("second", "belongs to ExternalSecret default/db already");
    remedy(&world, "second", "give each a `spec.target.name` of its own");
    world.server.kubectl(&["delete", "externalsecret", "db"]).unwrap();
    world.until_ready("second");
    world.until("secret", "shared", "{.metadata.ownerReferences[0].name}", "second");

    // Names that no Secret may have: replaced where the API says so, refused where a manifest asks for them.
    let extract = |name: &str, more: &str| {
        format!(
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name} }}\nspec:\n  secretStoreRef: {{ name: bao, kind: SecretStore }}\n  dataFrom: [{{ extract: {{ key: db }}{more} }}]\n"
        )
    };
    apply(&extract("names", ""));
    world.until("secret", "names", "{.data.odd_name_}", &encoded("canary-odd"));
    apply(&extract("slashes", ", rewrite: [{ regexp: { source: '^', target: 'a/' } }]"));
    world.until_failed("slashes", "a/");
    apply(&extract("slashes", ", rewrite: [{ regexp: { source: '[^a-z]', target: '-' } }]"));
    world.until("secret", "slashes", PASSWORD, &encoded("canary-one"));

    // Bytes that are no text arrive as they are.
    let bytes = [0_u8, 159, 146, 150, 255, 10];
    let text = {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(bytes)
    };
    world.bao.command(&["kv", "put", "secret/bytes", &format!("password={text}")]).unwrap();
    apply(&external("bytes", "{}").replace("property: password }", "property: password, decodingStrategy: Base64 }"));
    world.until("secret", "bytes", PASSWORD, &text);

    // A target that must not change says so, and follows when it may.
    world.bao.command(&["kv", "put", "secret/fixed", "password=canary-one"]).unwrap();
    apply(&external("fixed", "{ immutable: true }"));
    world.until("secret", "fixed", PASSWORD, &encoded("canary-one"));
    world.bao.command(&["kv", "put", "secret/fixed", "password=canary-two"]).unwrap();
    world.until_failed("fixed", "target is immutable");
    world.until("secret", "fixed", PASSWORD, &encoded("canary-one"));
    world.server.kubectl(&["delete", "secret", "fixed"]).unwrap();
    world.until("secret", "fixed", PASSWORD, &encoded("canary-two"));
    world.until_ready("fixed");
}

/// How long the API server stays away: `BIOTOPE_ABSENCE_S` seconds, longer than a lease by default.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, for a run by hand with a whole minute")]
fn absence() -> Duration {
    let given = std::env::var("BIOTOPE_ABSENCE_S").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(12))
}

/// Everybody writes to the same objects at once, and the API server goes in the middle.
#[test]
fn storms_of_conflicts_and_an_absent_server_are_weathered() {
    let Some(mut world) = World::start() else { return };
    world.bao.command(&["kv", "put", "secret/db", "password=canary-0"]).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-0"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (thread, what) in ["secret", "externalsecret"].into_iter().enumerate() {
            let (world, is_over) = (&world, &is_over);
            scope.spawn(move || {
                let mut turn = 0;
                while !is_over.load(Ordering::Relaxed) {
                    turn += 1;
                    let mark = format!("storm-{thread}={turn}");
                    let _ = world.server.kubectl(&["annotate", what, "db", "--overwrite", &mark]);
                }
            });
        }
        for turn in 1..=8 {
            world.bao.command(&["kv", "put", "secret/db", &format!("password=canary-{turn}")]).unwrap();
            let patch = format!(r#"{{"data":{{"password":"{}"}}}}"#, encoded("somebody else's"));
            let _ = world.server.kubectl(&["patch", "secret", "db", "--type=merge", "-p", &patch]);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    world.bao.command(&["kv", "put", "secret/db", "password=canary-9"]).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-9"));
    world.until_ready("db");

    world.server.kill();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-10"]).unwrap();
    std::thread::sleep(absence());
    assert!(world.broker.ended().is_none(), "{}", world.broker.last_lines(20));
    world.server.start_again().unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-10"));
    world.until_ready("db");
    let leading = || (world.metric("secret_broker_leading", "") == 1).then_some(());
    assert!(testkit::parts::wait_until(crate::cluster_world::LIMIT, leading).is_some(), "{}", world.log());
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}
