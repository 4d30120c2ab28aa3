//! Every recipe that ships is right, also where its data has not been brought yet.

use std::process::Command;

#[test]
fn every_recipe_is_right() {
    let mut checked = 0;
    for entry in std::fs::read_dir("recipes").expect("the recipes") {
        let path = entry.expect("an entry").path();
        if path.is_file() && path.extension().is_some_and(|e| e == "align") {
            let output = Command::new(env!("CARGO_BIN_EXE_align")).arg("check").arg(&path).output().expect("the program starts");
            assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked}");
}
