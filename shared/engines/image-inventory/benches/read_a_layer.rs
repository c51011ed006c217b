//! What it costs to take the inventory of a large layer: a stream of entries most of which nobody wants, as images are.

use std::io::Read;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image_inventory::{Entry, EntryKind, LayerReader, Limits, Scope};

struct File {
    path: String,
    mode: u32,
    content: Vec<u8>,
}

/// Forty thousand files, 250 MB: package database, wheels, node modules, programs that are none of Go or Rust, and the rest.
fn layer() -> Vec<File> {
    let mut files = Vec::new();
    let mut push = |path: String, mode: u32, content: Vec<u8>| files.push(File { path, mode, content });
    let status: String = (0..2_000)
        .map(|number| format!("Package: package{number}\nStatus: install ok installed\nVersion: 1.{number}-2\nArchitecture: amd64\nDepends: package{}\n\n", number / 2))
        .collect();
    push("var/lib/dpkg/status".to_owned(), 0o644, status.into_bytes());
    for number in 0..500 {
        push(
            format!("usr/lib/python3/dist-packages/p{number}-1.0.dist-info/METADATA"),
            0o644,
            format!("Name: p{number}\nVersion: 1.0\nLicense: MIT\n\n{}", "text ".repeat(800)).into_bytes(),
        );
        push(
            format!("usr/lib/node_modules/n{number}/package.json"),
            0o644,
            format!("{{\"name\":\"n{number}\",\"version\":\"1.0.0\",\"license\":\"MIT\"}}").into_bytes(),
        );
        push(format!("usr/bin/script{number}"), 0o755, b"#!/bin/sh\nexit 0\n".to_vec());
    }
    for number in 0..40 {
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(2 << 20, 0x90);
        push(format!("usr/bin/program{number}"), 0o755, program);
    }
    for number in 0..38_000 {
        push(format!("usr/share/locale/l{}/LC_MESSAGES/file{number}.mo", number % 90), 0o644, vec![b'x'; 4400]);
    }
    files
}

fn read(files: &[File], scope: Scope) -> usize {
    let mut reader = LayerReader::new("sha256:bench", Limits::default()).with_scope(scope);
    for file in files {
        let size = file.content.len() as u64;
        let entry = Entry { path: file.path.as_bytes(), kind: EntryKind::File, size, mode: file.mode };
        let mut content: &[u8] = &file.content;
        if reader.offer(&entry, &mut content).is_err() {
            return 0;
        }
        // As a tar walk does with what is left of an entry.
        let _ = std::io::copy(&mut content.by_ref().take(0), &mut std::io::sink());
    }
    let found = reader.finish().found;
    found.package_lists.len() + found.applications.len()
}

fn benches(criterion: &mut Criterion) {
    let files = layer();
    let bytes: u64 = files.iter().map(|file| file.content.len() as u64).sum();
    let mut group = criterion.benchmark_group("layer");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("image_250_mb", |bencher| bencher.iter(|| read(&files, Scope::Image)));
    group.bench_function("everything_250_mb", |bencher| bencher.iter(|| read(&files, Scope::Everything)));
    group.finish();
    let mut group = criterion.benchmark_group("entries");
    group.sample_size(10).throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("decide_by_path", |bencher| bencher.iter(|| read(&files, Scope::Image)));
    group.finish();
}

criterion_group!(layers, benches);
criterion_main!(layers);
