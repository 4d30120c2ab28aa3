//! Text as words, for linear models: lower case, runs of two or more letters, digits or `_`.
//! The same words as scikit-learn's default `(?u)\b\w\w+\b`.

/// Calls `each` with every word of `text`, in order.
pub fn for_each_word(text: &str, mut each: impl FnMut(&str)) {
    let lower = text.to_lowercase();
    for run in lower.split(|c: char| !c.is_alphanumeric() && c != '_') {
        if run.chars().nth(1).is_some() {
            each(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_two_or_more() {
        let mut words = Vec::new();
        for_each_word("A dog's ÉTÉ_2, x-ray I", |word| words.push(word.to_owned()));
        assert_eq!(words, ["dog", "été_2", "ray"]);
    }
}
