//! Every recipe that ships is right; where its data has not been brought yet, that is all that is wrong.

use std::process::Command;

#[test]
fn every_recipe_is_right() {
    let mut checked = 0;
    for entry in std::fs::read_dir("recipes").expect("the recipes") {
        let path = entry.expect("an entry").path();
        if path.is_file() && path.extension().is_some_and(|e| e == "align") {
            let output = Command::new(env!("CARGO_BIN_EXE_align")).arg("check").arg(&path).output().expect("the program starts");
            let said = String::from_utf8_lossy(&output.stderr);
            let codes: Vec<&str> = said.lines().filter(|line| line.starts_with("align::")).collect();
            assert!(output.status.success() != codes.iter().any(|code| code.ends_with("missing_file")), "{}: {said}", path.display());
            assert!(codes.iter().all(|code| code.ends_with("missing_file")), "{}: {said}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked}");
}
