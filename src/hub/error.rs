//! What can be wrong with a reference, and with fetching what it names.

use std::path::PathBuf;

use crate::diagnostic::Diagnostic;

/// Every code of this module, and what it means.
pub const CODES: &[(&str, &str)] = &[
    (
        "align::hub::reference",
        "What begins with `hf:` names a repository of a hub: `hf:owner/name`, with a branch, tag or commit behind `@`, and with a file or folder of the repository behind the name or behind the revision. A revision that contains `/` stands at the end, or is written with `%2F`.",
    ),
    (
        "align::hub::not_here",
        "A repository's files are not in the cache. Commands that only look do not fetch weights or data, so what depends on them is not checked yet; `align run` fetches them.",
    ),
    (
        "align::hub::offline",
        "`HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is set, so nothing is asked of the network, and files that are read are not in the cache. The cache is `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `~/.cache/huggingface/hub`; Python's `huggingface_hub` keeps the same one.",
    ),
    (
        "align::hub::no_network",
        "The hub cannot be reached, or a download broke off again and again. What came stays in the cache, and the next run goes on from there. `HF_ENDPOINT` names another address (a mirror), `HTTPS_PROXY` a proxy, `SSL_CERT_FILE` the certificates of an authority that the system does not know.",
    ),
    (
        "align::hub::no_repository",
        "The hub has no such repository, or does not show it to who asks: a private one is not there without a token.",
    ),
    ("align::hub::no_revision", "The repository has no branch, tag or commit of that name."),
    (
        "align::hub::no_access",
        "The repository is gated or private. Accept its conditions on its page, and give a token that may read it: in `HF_TOKEN`, or in the file that `hf auth login` writes.",
    ),
    (
        "align::hub::no_file",
        "The repository lacks a file that is read. Of a model those are `config.json`, `tokenizer.json` and `model.safetensors` or the files that its index names, or one `.gguf` file.",
    ),
    ("align::hub::damaged", "What came is not what the hub promised: its length or its hash is another. It was thrown away."),
    ("align::hub::disk", "The cache cannot be written to: the disk may be full, or the permissions may not allow it."),
    (
        "align::hub::answer",
        "The server answered with something that a hub does not say. It may be out of order, or a proxy's page may stand before it; `HF_ENDPOINT` names the address that is asked.",
    ),
    (
        "align::hub::moved",
        "A branch has moved since it was pinned in `align.lock`, and `--update` was given: what is read from now on is the newer commit.",
    ),
];

/// Why a reference cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HubError {
    #[error("`{written}` names no repository: {why}")]
    Reference { written: String, why: String },
    #[error("`{written}` is not on this machine, and `HF_HUB_OFFLINE` forbids to ask for it")]
    Offline { written: String, missing: Missing },
    #[error("`{endpoint}` cannot be reached: {why}")]
    NoNetwork { endpoint: String, why: String, missing: Option<Missing> },
    #[error("`{endpoint}` shows no repository `{repository}`")]
    NoRepository { endpoint: String, repository: String, near: Option<String>, token: bool },
    #[error("`{repository}` has no revision `{revision}`")]
    NoRevision { repository: String, revision: String, near: Option<String>, known: Vec<String> },
    #[error("`{repository}` is not open to {}", if *.token { "this token" } else { "everybody" })]
    NoAccess { endpoint: String, repository: String, gated: bool, token: bool, token_file: PathBuf },
    #[error("`{repository}` at `{revision}` has no `{file}`")]
    NoFile { repository: String, revision: String, file: String, help: String },
    #[error("`{file}` of `{repository}` is not what the hub promised: {why}")]
    Damaged { repository: String, file: String, why: String },
    #[error("`{}` cannot be written: {why}", path.display())]
    Disk { path: PathBuf, why: String },
    #[error("`{address}` answered as no hub does: {why}")]
    Answer { address: String, why: String },
}

/// What is not on this machine, and where it would be looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    pub repository: String,
    pub dataset: bool,
    pub revision: String,
    pub files: Vec<String>,
    /// The repository's folder in the cache.
    pub folder: PathBuf,
}

impl Missing {
    /// How to get it without a network here.
    fn help(&self) -> String {
        let kind = if self.dataset { " --repo-type dataset" } else { "" };
        let names = self.files.join(" ");
        format!(
            "missing: {}\nwhere there is a network, `hf download {}{kind} --revision {} {names}` fetches them; then copy that folder of its cache here, to `{}`",
            self.files.join(", "),
            self.repository,
            self.revision,
            self.folder.display()
        )
    }
}

impl HubError {
    /// The stable code under which the mistake is documented.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reference { .. } => "align::hub::reference",
            Self::Offline { .. } => "align::hub::offline",
            Self::NoNetwork { .. } => "align::hub::no_network",
            Self::NoRepository { .. } => "align::hub::no_repository",
            Self::NoRevision { .. } => "align::hub::no_revision",
            Self::NoAccess { .. } => "align::hub::no_access",
            Self::NoFile { .. } => "align::hub::no_file",
            Self::Damaged { .. } => "align::hub::damaged",
            Self::Disk { .. } => "align::hub::disk",
            Self::Answer { .. } => "align::hub::answer",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Reference { .. } => {
                "write `hf:owner/name`, `hf:owner/name@revision` or `hf:owner/name/file.gguf`; a file of a dataset is `hf:datasets/owner/name/file.jsonl`".into()
            }
            Self::Offline { missing, .. } => missing.help(),
            Self::NoNetwork { missing: Some(missing), .. } => missing.help(),
            Self::NoNetwork { .. } => "what came is kept: run it again".into(),
            Self::NoRepository { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NoRepository { token: true, .. } => "check the name, and that the token's owner may see it".into(),
            Self::NoRepository { .. } => "check the name; if it is private, put a token that may read it into `HF_TOKEN`".into(),
            Self::NoRevision { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NoRevision { known, .. } if !known.is_empty() => format!("it has {}", known.join(", ")),
            Self::NoRevision { .. } => return None,
            Self::NoAccess { endpoint, repository, gated, token, token_file } => {
                let accept = if *gated { format!("accept its conditions on {endpoint}/{repository}, then ") } else { String::new() };
                let give = format!("put a token that may read it into `HF_TOKEN`, or into `{}` with `hf auth login`", token_file.display());
                if *token && *gated { format!("{accept}run it again, or {give}") } else { format!("{accept}{give}") }
            }
            Self::NoFile { help, .. } => help.clone(),
            Self::Damaged { .. } => "run it again; if it stays so, ask without the mirror or proxy between".into(),
            Self::Disk { .. } => "free some space, or name another folder with `HF_HUB_CACHE`".into(),
            Self::Answer { .. } => "check `HF_ENDPOINT` and the proxy, or try again later".into(),
        })
    }

    /// The diagnostic, without a place: the caller knows which line of the recipe named the repository.
    pub fn diagnostic(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.code(), self.to_string());
        self.help().into_iter().fold(diagnostic, Diagnostic::help)
    }

    /// Whether the network, and not the repository, is at fault.
    pub fn is_of_the_network(&self) -> bool {
        matches!(self, Self::Offline { .. } | Self::NoNetwork { .. } | Self::Answer { .. })
    }
}
