//! Where the cache is and whom to ask: the environment variables of `huggingface_hub`, with the same meaning.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

/// The hub itself.
const ENDPOINT: &str = "https://huggingface.co";

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where `models--owner--name` lie.
    pub cache: PathBuf,
    /// Without `/` at its end.
    pub endpoint: String,
    /// Nothing is asked of the network.
    pub offline: bool,
    /// Where a token is read from, when no variable has one.
    pub token_file: PathBuf,
    pub(super) token: Option<Token>,
}

/// A secret: it is sent to the hub and shown to nobody.
#[derive(Clone)]
pub(super) struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// What a header says.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        // anything else could not be part of a header
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        plain.then(|| Self(text.to_owned()))
    }
}

impl Settings {
    /// Reads the environment.
    pub fn from_environment() -> Self {
        Self::read(&|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let user = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from).unwrap_or_default();
        let folder = |name: &str| variable(name).map(|path| at_home(&path, &user));
        let home = folder("HF_HOME").unwrap_or_else(|| folder("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache")).join("huggingface"));
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| home.join("hub"));
        let token_file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let is_set = |name: &str| variable(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()));
        let said = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(variable);
        let token = said.or_else(|| std::fs::read_to_string(&token_file).ok()).and_then(|text| Token::of(&text));
        Self {
            cache,
            endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()).trim_end_matches('/').to_owned(),
            offline: is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE"),
            token: token.filter(|_| !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            token_file,
        }
    }

    /// Whether there is a token to send.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

fn at_home(path: &str, user: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => user.to_owned(),
        Some(rest) if rest.starts_with('/') => user.join(&rest[1..]),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Settings {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(&found)
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |variables: &[(&str, &str)]| with(variables).cache.to_string_lossy().replace('\\', "/");
        assert_eq!(cache(&[("HOME", "/u")]), "/u/.cache/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")]), "/u/h/hub");
        assert_eq!(cache(&[("HOME", "/u"), ("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old")]), "/old");
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/old")]), "/c");
    }

    #[test]
    fn a_token_is_taken_from_a_variable_or_the_file_and_never_shown() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().to_string_lossy().into_owned();
        assert!(!with(&[("HF_HOME", &folder)]).has_token());
        std::fs::write(home.path().join("token"), "hf_file\n").expect("written");
        let of = |settings: &Settings| settings.token.as_ref().map(Token::header);
        let from_file = with(&[("HF_HOME", &folder)]);
        assert_eq!(of(&from_file).as_deref(), Some("Bearer hf_file"));
        assert!(!format!("{from_file:?}").contains("hf_file"));
        assert_eq!(of(&with(&[("HF_HOME", &folder), ("HF_TOKEN", "hf_said")])).as_deref(), Some("Bearer hf_said"));
        assert!(!with(&[("HF_HOME", &folder), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).has_token());
        assert!(!with(&[("HF_TOKEN", "two\nlines")]).has_token());
    }
}
