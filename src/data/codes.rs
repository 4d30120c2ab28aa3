//! Every code about data, and what it means.

/// What can be wrong with a file: found by `align check` before anything runs.
pub const FILES: &[(&str, &str)] = &[
    ("align::data::missing_file", "A data file is not there. Paths start at the folder of the recipe."),
    ("align::data::unreadable", "A data file is there and cannot be opened: it may be a folder, or the permissions may not allow it."),
    ("align::data::unknown_format", "The ending of a data file's name is none that can be read."),
    ("align::data::damaged", "The packed data of a `.gz`, `.zst` or `.parquet` file contradicts itself, or is no such data at all."),
    (
        "align::data::cut_short",
        "The packed data of a `.gz`, `.zst` or `.parquet` file ends early, as after a broken download. Nothing of it is used.",
    ),
    (
        "align::data::other_content",
        "A file holds something else than its name promises: a web page, a Git LFS pointer, an archive, another format. It was most likely saved or downloaded the wrong way.",
    ),
    ("align::data::not_utf8", "A file or a line of it is not UTF-8 text: its bytes are of another encoding."),
    ("align::data::no_rows", "A data file has no rows."),
    (
        "align::data::broken_line",
        "A line is not what the file's format asks for. Every line is looked at, so all of them are told at once.",
    ),
    ("align::data::missing_column", "No row of a file has a column that the recipe's `as` states."),
    (
        "align::data::missing_value",
        "Some rows of a file lack a column that the recipe's `as` states. A column of type `T?` may be missing.",
    ),
    ("align::data::wrong_type", "A value in a file is not of the type that the recipe's `as` states."),
];

/// What row stages refuse or warn about while they run.
pub const ROWS: &[(&str, &str)] = &[
    (
        "align::data::unfit_rows",
        "Rows that are not of the type that `as` states were left out, as `unfit: drop` asks. They are counted, and the first is shown.",
    ),
    ("align::data::repeated_rows", "Some rows of a file are equal to an earlier row. They count several times."),
    ("align::data::nothing_left", "A filter let no row through."),
    ("align::data::tied", "Prompts whose answers all have the same `by` make no pair."),
    ("align::data::one_group", "All rows agree in the column that a split should keep on one side."),
    (
        "align::data::leak",
        "Prompts of the test rows are among the training rows too, but for case and punctuation: results on them show memory.",
    ),
    ("align::data::weights", "The weights of a mixture do not fit its tables."),
    ("align::data::not_a_number", "A row that should be compared or measured has no number."),
    ("align::data::nothing_to_measure", "A table without rows has no metrics."),
    ("align::data::too_few_pairs", "A bag of words was to be fitted to pairs whose texts share no words."),
];
