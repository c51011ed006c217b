//! Cases about how Maven's repositories are found: settings, mirrors, proxies.

use std::collections::BTreeMap;
use std::path::Path;

use image_inventory::maven::{
    Mirror, Mirrors, Profile, Proxy, RemoteRepository, Server, Settings, SettingsRepository, stands_for,
};
use image_inventory::{Maven, rules};
use serde_json::{Value, json};

use crate::outside::Given;

/// Judges a case; `None` when it is about something else.
pub(crate) fn judge(folder: &Path, source: &str, function: &str, case: &Value) -> Option<(Value, Value)> {
    Some(match function {
        "Test_mirror_matches" => {
            let patterns: Vec<String> = serde_json::from_value(case["patterns"].clone()).unwrap_or_default();
            let got = stands_for(&patterns, &text(case, "repoID"), &text(case, "repoURL"));
            (json!(case["want"] == json!(true)), json!(got))
        }
        "Test_resolveMirrors" => {
            let mirrors = mirrors(case, "mirrors");
            let settings: Vec<Value> = mirrors
                .of_settings()
                .map(|(id, patterns, address)| json!({"id": id, "patterns": patterns, "url": address}))
                .collect();
            let given: BTreeMap<&str, Vec<String>> = mirrors.given().collect();
            (shown(&case["want"]), shown(&json!({"settings": settings, "configFile": given})))
        }
        "TestParser_mirrorFor" => {
            let one = &case["repo"];
            let repository = RemoteRepository {
                id: text(one, "id"),
                address: text(one, "url"),
                releases: one["releaseEnabled"] == json!(true),
                snapshots: one["snapshotEnabled"] == json!(true),
            };
            let got = mirrors(case, "settingsMirrors").in_place_of(&repository);
            (shown(&case["want"]), repositories(&got))
        }
        "Test_effectiveRepositories" => {
            (shown(&case["want"]), repositories(&settings(&case["s"]).effective_repositories()))
        }
        "Test_effectiveProxies" => {
            let settings = settings(&case["s"]);
            let got: Vec<Value> =
                settings.proxies_for(&text(case, "protocol"), &text(case, "hostname")).into_iter().map(proxy).collect();
            (shown(&json!(case["want"].as_array().cloned().unwrap_or_default())), shown(&json!(got)))
        }
        "Test_ReadSettings" => (shown(&case["wantSettings"]), shown(&described(&read(folder, source, case)))),
        "Test_fetchPOMFromRemoteRepositories_mirror" => fetched(case),
        _ => return None,
    })
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn all<T>(value: &Value, one: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(one).collect()
}

fn mirrors(case: &Value, key: &str) -> Mirrors {
    let given: BTreeMap<String, Vec<String>> =
        serde_json::from_value(case["configMirrors"].clone()).unwrap_or_default();
    Mirrors::new(&all(&case[key], mirror), &all(&case["servers"], server), &given)
}

fn mirror(one: &Value) -> Mirror {
    Mirror { id: text(one, "ID"), name: text(one, "Name"), url: text(one, "URL"), mirror_of: text(one, "MirrorOf") }
}

fn server(one: &Value) -> Server {
    Server { id: text(one, "ID"), username: text(one, "Username"), password: text(one, "Password") }
}

fn repository(one: &Value) -> SettingsRepository {
    SettingsRepository {
        id: text(one, "ID"),
        name: text(one, "Name"),
        url: text(one, "URL"),
        releases_enabled: text(one, "ReleasesEnabled"),
        snapshots_enabled: text(one, "SnapshotsEnabled"),
    }
}

fn settings(value: &Value) -> Settings {
    Settings {
        local_repository: text(value, "LocalRepository"),
        servers: all(&value["Servers"], server),
        mirrors: all(&value["Mirrors"], mirror),
        profiles: all(&value["Profiles"], |one| Profile {
            id: text(one, "ID"),
            active_by_default: one["ActiveByDefault"] == json!(true),
            repositories: all(&one["Repositories"], repository),
        }),
        active_profiles: serde_json::from_value(value["ActiveProfiles"].clone()).unwrap_or_default(),
        proxies: all(&value["Proxies"], |one| Proxy {
            id: text(one, "ID"),
            active: text(one, "Active"),
            protocol: text(one, "Protocol"),
            host: text(one, "Host"),
            port: text(one, "Port"),
            username: text(one, "Username"),
            password: text(one, "Password"),
            non_proxy_hosts: text(one, "NonProxyHosts"),
        }),
        repositories: all(&value["Repositories"], repository),
    }
}

/// Settings under upstream's names.
fn described(settings: &Settings) -> Value {
    let repositories = |list: &[SettingsRepository]| -> Vec<Value> {
        let one = |one: &SettingsRepository| {
            json!({"ID": one.id, "Name": one.name, "URL": one.url, "ReleasesEnabled": one.releases_enabled,
                "SnapshotsEnabled": one.snapshots_enabled})
        };
        list.iter().map(one).collect()
    };
    let servers = settings.servers.iter();
    let servers = servers.map(|one| json!({"ID": one.id, "Username": one.username, "Password": one.password}));
    let mirrors = settings.mirrors.iter();
    let mirrors = mirrors.map(|one| json!({"ID": one.id, "Name": one.name, "URL": one.url, "MirrorOf": one.mirror_of}));
    let profiles = settings.profiles.iter().map(|one| {
        json!({"ID": one.id, "ActiveByDefault": one.active_by_default, "Repositories": repositories(&one.repositories)})
    });
    json!({"LocalRepository": settings.local_repository, "Servers": servers.collect::<Vec<_>>(),
        "Mirrors": mirrors.collect::<Vec<_>>(), "Profiles": profiles.collect::<Vec<_>>(),
        "ActiveProfiles": settings.active_profiles, "Proxies": settings.proxies.iter().map(proxy).collect::<Vec<_>>(),
        "Repositories": repositories(&settings.repositories)})
}

fn proxy(one: &Proxy) -> Value {
    json!({"ID": one.id, "Active": one.active, "Protocol": one.protocol, "Host": one.host, "Port": one.port,
        "Username": one.username, "Password": one.password, "NonProxyHosts": one.non_proxy_hosts})
}

fn repositories(list: &[RemoteRepository]) -> Value {
    let one = |one: &RemoteRepository| json!({"id": one.id, "url": one.address, "releaseEnabled": one.releases, "snapshotEnabled": one.snapshots});
    shown(&Value::Array(list.iter().map(one).collect()))
}

/// The settings of the folders that a case names, the user's before the project's before the installation's.
fn read(folder: &Path, source: &str, case: &Value) -> Settings {
    let variable = |name: &str| case["envs"][name].as_str().map(str::to_owned);
    let home = |value: &Value, file: &str| {
        let home = value.as_str().filter(|home| !home.is_empty())?;
        Some(crate::corpora::input(folder, source, home).join(file))
    };
    let project = ["projectDir", "rootDir", "dir"].iter().find_map(|key| home(&case[*key], ".mvn/settings.xml"));
    let files = [
        home(&case["envs"]["HOME"], ".m2/settings.xml"),
        project,
        home(&case["envs"]["MAVEN_HOME"], "conf/settings.xml"),
    ];
    let mut settings = Settings::default();
    for path in files.into_iter().flatten() {
        let one = std::fs::read(path).ok().and_then(|bytes| Settings::parse(&bytes, &variable).ok());
        settings.merge(one.unwrap_or_default());
    }
    settings
}

/// A project that has to be fetched. The servers of the case go by their names here; `limited` asks to come later, `dead` has nothing.
fn fetched(case: &Value) -> (Value, Value) {
    let address = |server: &str| format!("http://{server}.example/m2");
    let given = case["configMirrors"].as_object().into_iter().flatten().map(|(server, targets)| {
        let targets = targets.as_array().into_iter().flatten().filter_map(Value::as_str).map(address).collect();
        (address(server), targets)
    });
    let patterns: Vec<String> = serde_json::from_value(case["mirrorPatterns"].clone()).unwrap_or_default();
    let mirror =
        Mirror { id: "mirror".into(), url: address("mirror"), mirror_of: patterns.join(","), ..Mirror::default() };
    let needed = "<project><groupId>g</groupId><artifactId>needed</artifactId><version>1</version><licenses><license>\
                  <name>MIT</name></license></licenses></project>";
    let served = |server: &str| ((address(server), "g/needed/1/needed-1.pom".to_owned()), needed.as_bytes().to_vec());
    let outside = Given {
        files: ["chain", "mirror", "central", "live"].map(served).into(),
        busy: BTreeMap::from([(address("limited"), "it answers 429".to_owned())]),
        maven: Maven { settings: Settings { mirrors: vec![mirror], ..Settings::default() }, mirrors: given.collect() },
        ..Given::default()
    };
    let root =
        b"<project><groupId>g</groupId><artifactId>root</artifactId><version>1</version><dependencies><dependency>\
        <groupId>g</groupId><artifactId>needed</artifactId><version>1</version></dependency></dependencies></project>";
    let resolved = rules::maven_project("pom.xml", &|path| (path == "pom.xml").then(|| root.to_vec()), &outside);
    let wanted_fault = text(case, "wantErr");
    let outcome = match &resolved {
        Ok(packages) => packages.iter().filter(|one| one.licenses == ["MIT"]).map(|one| one.name.as_str()).collect(),
        Err(error) if !wanted_fault.is_empty() && error.to_string().contains(&wanted_fault) => "refused".to_owned(),
        Err(error) => error.to_string(),
    };
    let expected = if wanted_fault.is_empty() { "g:needed" } else { "refused" };
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    for asked in outside.asked.lock().unwrap().iter() {
        let server = asked.trim_start_matches("http://").split('.').next().unwrap_or_default();
        *hits.entry(server.to_owned()).or_default() += 1;
    }
    (json!([expected, case["wantHits"]]), json!([outcome, hits]))
}

/// Without zero values.
fn shown(value: &Value) -> Value {
    crate::corpora::without_zeros(value)
}
