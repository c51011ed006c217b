//! The Kubernetes parts, used as tests use them.

use std::time::Duration;

use testkit::parts::{self, BUSYBOX_IMAGE, wait_until};

#[test]
fn an_api_server_keeps_what_it_was_told_over_a_restart() {
    let Some(mut server) = parts::kube_apiserver() else { return };
    server
        .apply(
            "apiVersion: v1\nkind: Secret\nmetadata: { name: told, namespace: default }\nstringData: { word: kept }\n",
        )
        .unwrap();
    server.kill();
    assert!(server.kubectl(&["get", "secret", "told"]).is_err(), "nobody answers for a killed server");
    server.start_again().unwrap();
    let word = server.kubectl(&["get", "secret", "told", "-o", "jsonpath={.data.word}"]).unwrap();
    assert_eq!(word, "a2VwdA==");
    let refused = server.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: Not_A_Name, namespace: default }\n");
    assert!(refused.unwrap_err().to_string().contains("Invalid value"));
}

#[test]
fn pods_of_a_deployment_run_and_log() {
    let Some(cluster) = parts::cluster() else { return };
    let manifest = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: speaker }}\nspec:\n  replicas: 1\n  selector: {{ matchLabels: {{ app: speaker }} }}\n  template:\n    metadata: {{ labels: {{ app: speaker }} }}\n    spec:\n      containers:\n      - name: main\n        image: {BUSYBOX_IMAGE}\n        command: [sh, -c, 'echo here is $(cat /word/word); sleep 600']\n        volumeMounts: [{{ name: word, mountPath: /word }}]\n      volumes: [{{ name: word, secret: {{ secretName: word }} }}]\n"
    );
    cluster.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: word }\nstringData: { word: everybody }\n").unwrap();
    cluster.apply(&manifest).unwrap();
    cluster.kubectl(&["rollout", "status", "deployment/speaker", "--timeout=120s"]).unwrap_or_else(|error| {
        let told = cluster.kubectl(&["describe", "pods"]).unwrap_or_default();
        panic!("{error}\n{told}")
    });
    let log = wait_until(Duration::from_secs(60), || {
        cluster.kubectl(&["logs", "deployment/speaker"]).ok().filter(|log| !log.is_empty())
    });
    assert_eq!(log.expect("the pod says something").trim(), "here is everybody");
    let said = cluster.kubectl(&["exec", "deployment/speaker", "--", "id", "-u"]).unwrap();
    assert_eq!(said.trim(), "0");
    eprintln!("{}", cluster.kubectl(&["get", "nodes", "-o", "wide"]).unwrap());
}
