//! Compiles the kernel programs with clang, for BPF, with BTF for relocation.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=ebpf");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("sensor.bpf.o");
    let arch = match std::env::var_os("CARGO_CFG_TARGET_ARCH") {
        Some(arch) if arch == "x86_64" => "-D__TARGET_ARCH_x86",
        other => fail(&format!("the sensor's kernel programs are written for x86_64, not {other:?}")),
    };
    let compilers = ["clang-19", "clang"];
    let Some(clang) = compilers.into_iter().find(|clang| Command::new(clang).arg("--version").output().is_ok()) else {
        fail("clang is missing: run `make tools`, or apt-get install clang-19 llvm-19 libbpf-dev");
    };
    let arguments =
        ["-g", "-O2", "-target", "bpf", "-mcpu=v3", arch, "-Wall", "-Werror", "-c", "ebpf/sensor.bpf.c", "-o"];
    match Command::new(clang).args(arguments).arg(&out).status() {
        Ok(status) if status.success() => {}
        _ => fail("the kernel programs do not compile: libbpf's headers are needed (apt-get install libbpf-dev)"),
    }
    // Debug sections are not needed at run time; without the tool the object is only larger.
    let _ = Command::new("llvm-strip-19").arg("-g").arg(&out).status();
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    std::process::exit(1)
}
