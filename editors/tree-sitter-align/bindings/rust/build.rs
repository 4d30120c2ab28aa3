//! Compiles the generated parser and its scanner.

fn main() {
    let files = ["src/parser.c", "src/scanner.c"];
    let mut build = cc::Build::new();
    build.std("c11").include("src").warnings(false).files(files);
    if build.get_compiler().is_like_msvc() {
        build.flag("-utf-8");
    }
    build.compile("tree-sitter-align");
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
}
