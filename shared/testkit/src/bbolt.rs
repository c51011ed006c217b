//! Files written by bbolt itself, the Go library whose files we read.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::require;

/// Writes a database: an object of buckets, each an object of buckets, and so on; a text is a value. `None`,
/// loudly, where Go or the library cannot be had.
#[must_use]
#[expect(clippy::expect_used, reason = "a test without a temporary folder cannot run")]
pub fn write(content: &Value) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    match run(folder.path(), content) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            require::skip("go", &format!("bbolt cannot write a file to read: {why}"));
            None
        }
    }
}

fn run(folder: &Path, content: &Value) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| error.to_string();
    let module = "module writer\n\ngo 1.17\n\nrequire go.etcd.io/bbolt v1.3.6\n";
    for (name, text) in [("main.go", PROGRAM), ("go.mod", module), ("content.json", &content.to_string())] {
        fs::write(folder.join(name), text).map_err(said)?;
    }
    let mut command = Command::new("go");
    command.args(["run", ".", "content.json", "file.db"]).current_dir(folder).env("GOFLAGS", "-mod=mod");
    let output = command.output().map_err(said)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    fs::read(folder.join("file.db")).map_err(said)
}

const PROGRAM: &str = r#"package main

import (
	"encoding/json"
	"os"

	bolt "go.etcd.io/bbolt"
)

func main() {
	var content map[string]interface{}
	text, err := os.ReadFile(os.Args[1])
	check(err)
	check(json.Unmarshal(text, &content))
	db, err := bolt.Open(os.Args[2], 0o600, nil)
	check(err)
	check(db.Update(func(tx *bolt.Tx) error {
		for name, inner := range content {
			outer, err := tx.CreateBucketIfNotExists([]byte(name))
			check(err)
			fill(outer, inner.(map[string]interface{}))
		}
		return nil
	}))
	check(db.Close())
}

func fill(into *bolt.Bucket, content map[string]interface{}) {
	for name, value := range content {
		switch value := value.(type) {
		case string:
			check(into.Put([]byte(name), []byte(value)))
		case map[string]interface{}:
			inner, err := into.CreateBucketIfNotExists([]byte(name))
			check(err)
			fill(inner, value)
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
"#;
