//! How many calls the vault gets, counted at the broker, against what External Secrets Operator makes in a day.

use std::time::{Duration, Instant};

use testkit::parts::wait_until;

use crate::world::{LIMIT, World};

const SECRETS: usize = 60;

/// Calls to stores so far.
pub(crate) async fn calls(world: &World) -> u64 {
    let text = world.admin("metrics").await;
    let lines = text.lines().filter(|line| line.starts_with("secret_broker_store_calls_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// A change is seen within a second, whatever the number of secrets, by one call for each mount and look.
#[tokio::test(flavor = "multi_thread")]
async fn versions_are_checked_folder_by_folder() {
    let prepared = |bao: &testkit::parts::Part<testkit::parts::OpenBao>| {
        for number in 0..SECRETS {
            bao.command(&["kv", "put", &format!("secret/team/s{number}"), "k=canary-1"]).unwrap();
        }
    };
    let Some(mut world) = World::start(prepared).await else { return };
    let mut manifests = "apiVersion: v1\nkind: Secret\nmetadata: { name: bao-token }\nstringData: { token: root }\n---\napiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: bao }\nspec: { provider: { vault: { server: SERVER, path: secret, auth: { tokenSecretRef: { name: bao-token, key: token } } } } }\n".to_owned();
    for number in 0..SECRETS {
        manifests.push_str(&format!("---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: s{number} }}\nspec: {{ secretStoreRef: {{ name: bao }}, data: [{{ secretKey: k, remoteRef: {{ key: team/s{number}, property: k }} }}] }}\n"));
    }
    world.manifest("all.yaml", &manifests);
    let last = world.target(&format!("default/s{}/k", SECRETS - 1));
    assert!(wait_until(LIMIT, || last.exists().then_some(())).is_some(), "{}", world.log());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (before, started) = (calls(&world).await, Instant::now());
    tokio::time::sleep(Duration::from_secs(6)).await;
    let made = calls(&world).await - before;
    // The broker of these tests looks every 200 ms.
    let looks = started.elapsed().as_millis() / 200 + 2;
    assert!(u128::from(made) <= looks, "{made} calls in {looks} looks");
    assert!(made > 0);
    // Looked at once a second, a folder costs 86,400 calls in a day, however many secrets lie in it. Upstream logs in, reads, looks its
    // token up and revokes it for each manifest and interval: 96 calls in a day for each at its default of an hour, so that from 900
    // secrets on it makes more; at ten seconds, the interval that most public manifests have, from three on.
    let (ours, upstream) =
        (|folders: u64| folders * 86_400, |manifests: u64, interval_s: u64| manifests * 4 * 86_400 / interval_s);
    assert!(ours(1) == upstream(900, 3_600) && ours(1) < upstream(1_000, 3_600) && ours(1) < upstream(3, 10));

    // What changes is seen in the list, and read.
    world.bao.command(&["kv", "put", "secret/team/s7", "k=canary-2"]).unwrap();
    let changed = world.target("default/s7/k");
    let followed = wait_until(LIMIT, || (std::fs::read_to_string(&changed).ok()? == "canary-2").then_some(()));
    assert!(followed.is_some(), "{}", world.log());
    // A secret that goes is seen by the same list.
    world.bao.command(&["kv", "delete", "secret/team/s8"]).unwrap();
    assert!(world.event("sync-failed").await.data["reason"].as_str().unwrap().contains("team/s8"));
}
