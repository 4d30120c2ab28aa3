; Neovim's names.
[
  (recipe_body)
  (objective_body)
  (stage_body)
  (profile_body)
  (parameters)
  (arguments)
  (record)
  (record_type)
  (list)
  (group)
  (used)
] @indent.begin

["}" ")" "]"] @indent.branch @indent.end

; What goes on over several lines without a bracket.
[
  (binding)
  (function)
  (expect)
  (gate)
  (loss)
] @indent.begin

(block_text) @indent.ignore
