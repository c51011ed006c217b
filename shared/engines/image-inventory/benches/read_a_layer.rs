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

/// The layer as registries hold it.
fn packed(files: &[File]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let mut archive = tar::Builder::new(gzip);
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        if archive.append_data(&mut header, &file.path, file.content.as_slice()).is_err() {
            return Vec::new();
        }
    }
    archive.into_inner().and_then(flate2::write::GzEncoder::finish).unwrap_or_default()
}

/// What no scanner can do without: inflate, and walk the entries.
fn walk(bytes: &[u8]) -> std::io::Result<u64> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let mut sum = 0_u64;
    for entry in archive.entries()? {
        sum += std::io::copy(&mut entry?, &mut std::io::sink())?;
    }
    Ok(sum)
}

/// The same with the inventory taken.
fn take(bytes: &[u8]) -> std::io::Result<usize> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let mut reader = LayerReader::new("sha256:bench", Limits::default()).with_scope(Scope::Image);
    for file in archive.entries()? {
        let mut file = file?;
        let path = file.path_bytes().into_owned();
        let (size, mode) = (file.size(), file.header().mode()?);
        let entry = Entry { path: &path, kind: EntryKind::File, size, mode };
        reader.offer(&entry, &mut file).map_err(std::io::Error::other)?;
    }
    Ok(reader.finish().found.applications.len())
}

/// Highest memory of the process in KiB while `run` runs, where Linux tells.
fn peak_kib(run: impl FnOnce()) -> u64 {
    // Writing 5 sets the mark back (proc(5)).
    let is_set_back = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    run();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = mark.and_then(|mark| mark.trim().trim_end_matches(" kB").parse().ok());
    kib.filter(|_| is_set_back).unwrap_or(0)
}

/// Time and peak memory against inflating and walking alone, in one run.
fn against_a_walk(criterion: &mut Criterion) {
    let bytes = {
        let files = layer();
        packed(&files)
    };
    let size = walk(&bytes).unwrap_or(0);
    let floor = peak_kib(|| drop(walk(&bytes)));
    let whole = peak_kib(|| drop(take(&bytes)));
    println!(
        "peak memory: {floor} KiB to inflate and walk, {whole} KiB with the inventory ({} MB of layer)",
        size >> 20
    );
    let mut group = criterion.benchmark_group("packed");
    group.sample_size(10).throughput(Throughput::Bytes(size));
    group.bench_function("inflate_and_walk", |bencher| bencher.iter(|| walk(&bytes)));
    group.bench_function("inflate_walk_and_inventory", |bencher| bencher.iter(|| take(&bytes)));
    group.finish();
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

criterion_group!(layers, benches, against_a_walk);
criterion_main!(layers);
