# Types, formats and lints.
check:
    cargo fmt --check
    cargo clippy --release --all-targets -- -D warnings

# All tests; kernel tests are ignored where there is no Vulkan, Metal or DX12 adapter.
test:
    cargo test --release

# Accepts changed snapshots.
bless:
    INSTA_UPDATE=always cargo test --release

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --document-private-items

# What CI runs.
ci:
    .ci/run
